"""Main effects: balanced for the other keys, with intervals that know what they hold."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.core.arrays import Floats
from sweep.stats.comparison import Comparison, Covariance
from sweep.stats.effects import Effect, importances, interaction, main_effects
from sweep.stats.levels import factors_of

KEYS = ("lora.r", "lora.lora_dropout", "lora.target_modules")
GRID = [dict(zip(KEYS, cell, strict=True)) for cell in product((4, 8), (0.0, 0.1), ("qv", "all"))]


def comparison(means: Floats, *, noise: float = 0.002, seeds: bool = True) -> Comparison:
    rng = np.random.default_rng(0)
    deviations = rng.normal(scale=noise, size=(2000, len(means)))
    factors = (deviations - deviations.mean(axis=0)) / np.sqrt(len(deviations))
    covariance = Covariance(factors, np.zeros(len(means)))
    return Comparison(means, deviations, covariance, noise if seeds else None)


def means_of(configs: list[dict[str, object]], **worth: float) -> Floats:
    """0.8 plus what each setting named `key_value` is worth."""
    return np.array(
        [
            0.8 + sum(worth.get(f"{k.rpartition('.')[2]}_{v}", 0) for k, v in c.items())
            for c in configs
        ]
    )


def by_level(effects: list[Effect], key: str) -> dict[str, Effect]:
    return {e.level: e for e in effects if e.key == key}


def test_grid_gives_plain_means_of_the_cells_and_tells_what_matters() -> None:
    means = means_of(GRID, target_modules_qv=-0.05)
    effects = main_effects(factors_of(GRID, KEYS), comparison(means))
    targets, ranks = by_level(effects, KEYS[2]), by_level(effects, KEYS[0])
    assert targets["all"].difference == 0
    assert targets["all"].ci_low is None
    assert targets["qv"].difference == pytest.approx(-0.05)
    assert targets["qv"].num_configs == 4
    assert targets["qv"].distinguishable
    assert not any(e.distinguishable for e in ranks.values())


def test_unbalanced_design_is_compared_at_equal_settings_of_the_others() -> None:
    """Rank 8 was tried with the good targets more often; by itself it does nothing."""
    configs = [c for c in GRID if not (c["lora.r"] == 8 and c["lora.target_modules"] == "qv")]
    configs.append({"lora.r": 8, "lora.lora_dropout": 0.0, "lora.target_modules": "qv"})
    means = means_of(configs, target_modules_qv=-0.05)
    ranks = by_level(main_effects(factors_of(configs, KEYS), comparison(means)), KEYS[0])
    assert max(abs(e.difference) for e in ranks.values()) == pytest.approx(0, abs=1e-9)


def test_one_seed_each_lets_the_scatter_of_the_cells_speak() -> None:
    scatter = np.random.default_rng(1).normal(scale=0.02, size=len(GRID))
    means = means_of(GRID, target_modules_qv=-0.02) + scatter
    factors = factors_of(GRID, KEYS)
    known = by_level(main_effects(factors, comparison(means)), KEYS[2])
    unknown = by_level(main_effects(factors, comparison(means, seeds=False)), KEYS[2])

    def width(levels: dict[str, Effect]) -> float:
        found = next(e for e in levels.values() if e.ci_low is not None and e.ci_high is not None)
        return found.ci_high - found.ci_low  # type: ignore[operator]

    assert width(unknown) > 2 * width(known)


def test_two_configs_of_one_seed_have_no_interval_at_all() -> None:
    configs = [{"lora.r": 4}, {"lora.r": 8}]
    effects = main_effects(
        factors_of(configs, ["lora.r"]), comparison(np.array([0.8, 0.9]), seeds=False)
    )
    assert [e.ci_low for e in effects] == [None, None]
    assert not any(e.distinguishable for e in effects)


@pytest.mark.long
# Of many levels there are many pairs, and few draws are affordable.
@pytest.mark.parametrize(("num_levels", "draws"), [(2, 200), (3, 100), (8, 100), (20, 30)])
@pytest.mark.parametrize("seeds", [True, False])
def test_among_equal_levels_one_is_seldom_surely_worse_than_the_best(
    num_levels: int, draws: int, seeds: bool
) -> None:
    """In one of 20 studies at most, however many levels the best was chosen from."""
    configs = [{"k": f"l{a:02}", "other": b} for a, b in product(range(num_levels), range(3))]
    factors = factors_of(configs, ["k", "other"])
    found = []
    for draw in range(draws):
        luck = np.random.default_rng([30, draw]).normal(scale=0.002, size=len(configs))
        effects = main_effects(factors, comparison(0.8 + luck, seeds=seeds))
        found.append(any(e.distinguishable for e in effects if e.key == "k"))
    # Two and a half standard errors above 5 %; 8 levels against the best alone had 16 %.
    assert np.mean(found) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / draws)


def test_two_levels_of_one_key_have_the_interval_that_they_have_alone() -> None:
    means = means_of(GRID, target_modules_qv=-0.05)
    compared = comparison(means)
    sign = np.array([1 if c["lora.target_modules"] == "qv" else -1 for c in GRID])
    low, high = np.quantile(compared.deviations @ sign / 4, [0.025, 0.975])
    alone = by_level(main_effects(factors_of(GRID, KEYS[2:]), compared), KEYS[2])["qv"]
    ends = (pytest.approx(-0.05 + low), pytest.approx(-0.05 + high))
    assert (alone.ci_low, alone.ci_high) == ends
    # One of three keys: some other may look as if it did something.
    whole = by_level(main_effects(factors_of(GRID, KEYS), compared), KEYS[2])["qv"]
    assert whole.ci_low is not None
    assert whole.ci_high is not None
    assert whole.ci_low < -0.05 + low
    assert -0.05 + high < whole.ci_high < 0


@pytest.mark.long
@pytest.mark.parametrize("num_keys", [1, 2, 3, 5])
@pytest.mark.parametrize("balanced", [True, False])
def test_study_in_which_nothing_matters_seldom_says_that_something_does(
    num_keys: int, balanced: bool
) -> None:
    """In one of 20 studies, whatever the number of keys that might do something."""
    keys = [f"k{number}" for number in range(num_keys)]
    cells = [dict(zip(keys, cell, strict=True)) for cell in product("ab", repeat=num_keys)] * 2
    if num_keys == 1:
        cells = [*cells, *cells]
    configs = [c | {"copy": i} for i, c in enumerate(cells)][: len(cells) - (not balanced)]
    factors = factors_of(configs, keys)
    said = []
    for draw in range(200):
        luck = np.random.default_rng([31, draw]).normal(scale=0.002, size=len(configs))
        effects = main_effects(factors, comparison(0.8 + luck))
        said.append(any(e.distinguishable for e in effects))
        assert not any(e.most_at for e in effects if not e.distinguishable)
    assert np.mean(said) <= 0.05 + 2.5 * 0.0154


def test_sure_interaction_is_said_with_the_range_over_pairs_of_configs() -> None:
    """All-linear is worth 0.02 at rank 4, 0.10 at rank 8, the same with and without dropout."""
    means = np.array(
        [
            0.8 - (0.02 if c["lora.r"] == 4 else 0.10) * (c["lora.target_modules"] == "qv")
            for c in GRID
        ]
    )
    found = main_effects(factors_of(GRID, KEYS), comparison(means))
    qv = by_level(found, KEYS[2])["qv"]
    assert qv.distinguishable
    assert (qv.cells_low, qv.cells_high) == (pytest.approx(-0.10), pytest.approx(-0.02))
    assert qv.most_at == "r=8"
    plain = main_effects(factors_of(GRID, KEYS), comparison(means_of(GRID, target_modules_qv=-0.1)))
    assert by_level(plain, KEYS[2])["qv"].most_at is None


def test_effects_allow_for_every_look_at_the_study() -> None:
    factors = factors_of(GRID, KEYS)
    means = means_of(GRID, target_modules_qv=-0.05)
    widths = []
    for looks in (1, 2, 5, 20):
        effects = main_effects(factors, replace(comparison(means), looks=looks))
        qv = by_level(effects, KEYS[2])["qv"]
        assert qv.ci_low is not None
        widths.append(-0.05 - qv.ci_low)
    assert widths == sorted(widths)
    assert widths[-1] > 1.3 * widths[0]


def test_level_beside_equal_ones_is_told_apart_where_it_differs() -> None:
    configs = [{"k": f"l{a}", "other": b} for a, b in product(range(8), range(3))]
    means = np.array([0.8 - 0.02 * (c["k"] == "l3") for c in configs])
    effects = main_effects(factors_of(configs, ["k", "other"]), comparison(means))
    assert [e.level for e in effects if e.distinguishable] == ["l3"]


def test_keys_that_change_together_are_one_factor() -> None:
    configs = [{"lora.r": r, "lora.lora_alpha": 2 * r, "lora.bias": "none"} for r in (4, 8, 4)]
    (factor,) = factors_of(configs, ["lora.r", "lora.lora_alpha", "lora.bias"])
    assert factor.key == "lora.r + lora.lora_alpha"
    assert factor.levels == ("4 + 8", "8 + 16")
    assert factor.of_config == (0, 1, 0)


def test_range_is_seen_in_thirds() -> None:
    rates = np.random.default_rng(0).permutation(np.geomspace(1e-4, 1e-2, 30))
    (factor,) = factors_of([{"lr": float(rate)} for rate in rates], ["lr"])
    assert len(factor.levels) == 3
    assert factor.levels[0].startswith("0.0001 to")
    assert sorted(factor.of_config.count(i) for i in range(3)) == [10, 10, 10]


def test_interaction_is_found_beside_main_effects() -> None:
    cells = list(product((2.0, 3.0, 4.0), (3.0, 4.0, 5.0)))
    configs = [{"r": r, "a": a} for r, a in cells]
    first, second = (np.array(x) for x in zip(*cells, strict=True))
    plain = 0.8 + 0.01 * first - 0.02 * second
    factors = factors_of(configs, ["r", "a"])
    scatter = np.random.default_rng(2).normal(scale=1e-3, size=9)
    joint = interaction(first, second, factors, comparison(plain + scatter + 0.01 * first * second))
    none = interaction(first, second, factors, comparison(plain + scatter))
    assert joint is not None
    assert none is not None
    assert joint.ci_low < 0.01 < joint.ci_high
    assert joint.is_clear
    assert not none.is_clear


def test_interaction_of_what_changes_together_is_not_known() -> None:
    ranks = np.array([1.0, 2.0, 3.0])
    factors = factors_of([{"r": r} for r in ranks.tolist()], ["r"])
    assert interaction(ranks, ranks, factors, comparison(ranks)) is None


def test_importance_is_the_share_of_the_variance() -> None:
    means = means_of(GRID, target_modules_qv=-0.04, r_4=-0.02)
    found = {i.key: i for i in importances(factors_of(GRID, KEYS), means)}
    assert found["lora.target_modules"].importance == pytest.approx(0.8)
    assert found["lora.r"].importance == pytest.approx(0.2)
    assert found["lora.lora_dropout"].importance == pytest.approx(0, abs=1e-9)
    assert all(i.ci_low <= i.importance <= i.ci_high for i in list(found.values())[:2])


def test_equal_scores_give_no_key_any_importance() -> None:
    found = importances(factors_of(GRID, KEYS), np.full(len(GRID), 0.8))
    assert [i.importance for i in found] == [0, 0, 0]


@pytest.mark.long
@given(st.permutations(range(len(GRID))), st.floats(-1, 1), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_order_of_configs_and_a_constant_change_no_difference(
    order: list[int], shift: float, draw: int
) -> None:
    means = 0.8 + np.random.default_rng(draw).normal(scale=0.01, size=len(GRID))
    plain = main_effects(factors_of(GRID, KEYS), comparison(means))
    configs = [GRID[i] for i in order]
    moved = main_effects(factors_of(configs, KEYS), comparison(means[order] + shift))
    for first, second in zip(plain, moved, strict=True):
        assert (first.key, first.level) == (second.key, second.level)
        assert first.difference == pytest.approx(second.difference, abs=1e-9)
