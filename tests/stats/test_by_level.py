"""What the scores say of each factor, in plain numbers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from sweep.stats.by_level import FactorScores, bands, cells, matches, scores_by_factor, separation
from sweep.stats.levels import Factor, factor_of, factors_of


def factors(**settings: list[Any]) -> list[Factor]:
    """Of configs with these settings."""
    rows = [dict(zip(settings, row, strict=True)) for row in zip(*settings.values(), strict=True)]
    return factors_of(rows, list(settings))


def by_key(found: list[FactorScores]) -> dict[str, FactorScores]:
    return {scores.factor.key: scores for scores in found}


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        # A grid of two settings: each column is a group.
        ({"r": [4, 8, 4, 8], "bias": ["a", "a", "b", "b"]}, [2, 2]),
        # Alike in all that was searched: a level holds both.
        ({"r": [4, 4, 8, 8], "bias": ["a", "a", "a", "b"]}, [3]),
        # Alike only when rounded: neither one level nor a match.
        ({"r": [4, 8, 8, 8], "dropout": [0.10001, 0.10002, 0.2, 0.3]}, []),
        # Levels that only look alike: all are in it.
        ({"dropout": [0.10001, 0.10002, 0.2], "bias": ["a", "a", "a"]}, [3]),
        # Thirds: no two configs differ in a third alone.
        ({"r": list(range(1, 13)), "bias": ["a"] * 12}, []),
    ],
)
def test_matches_hold_every_config_that_differs_in_one_factor_alone(
    settings: dict[str, list[Any]], groups: list[int]
) -> None:
    found = factors(**settings)
    joined = matches(found[0], found)
    assert [sum(map(len, match.values())) for match in joined] == groups


def test_pairs_are_counted_with_those_that_the_best_level_wins() -> None:
    found = factors(target=["qv", "all"] * 3, r=[4, 4, 8, 8, 16, 16])
    scores = by_key(scores_by_factor(found, [0.7, 0.8, 0.7, 0.8, 0.75, 0.74]))["target"]
    assert scores.best.name == "all"
    (other,) = scores.others
    assert (other.name, other.pairs, other.wins) == ("qv", 3, 2)
    assert other.below == pytest.approx(0.19 / 3)
    assert scores.is_balanced


def test_means_of_levels_are_at_equal_settings_of_the_others() -> None:
    """Rank 8 was tried with the good target more often; by itself it does nothing."""
    found = factors(r=[4, 4, 8, 8, 8], target=["qv", "all", "all", "all", "qv"])
    scores = by_key(scores_by_factor(found, [0.7, 0.8, 0.8, 0.8, 0.7]))["r"]
    assert [level.below for level in scores.levels] == pytest.approx([0, 0], abs=1e-9)
    assert [level.num_configs for level in scores.levels] == [2, 3]


def test_settings_that_cannot_be_told_apart_are_said_not_to_be_balanced() -> None:
    found = factors(r=[4, 8, 8], target=["qv", "all", "mlp"])
    scores = by_key(scores_by_factor(found, [0.7, 0.8, 0.9]))["r"]
    assert not scores.is_balanced
    assert [level.mean for level in scores.levels] == pytest.approx([0.7, 0.85])


def test_setting_that_separates_the_scores_most_comes_first() -> None:
    cells = list(product((4, 8), ("qv", "all"), (0.0, 0.1)))
    found = factors(r=[c[0] for c in cells], t=[c[1] for c in cells], p=[c[2] for c in cells])
    means = [0.8 - 0.1 * (t == "qv") - 0.01 * (p == 0.1) for _, t, p in cells]
    assert [scores.factor.key for scores in scores_by_factor(found, means)][:2] == ["t", "p"]
    assert scores_by_factor([], []) == []


@pytest.mark.parametrize(
    ("levels", "means"),
    [([0, 1], [0.1, 0.2]), ([0, 0, 1], [0.5, 0.5, 0.5]), ([0], [0.5]), ([], [])],
)
def test_nothing_is_separated_where_nothing_can_be(levels: list[int], means: list[float]) -> None:
    assert separation(levels, means) == 0


def test_range_has_its_numbers_its_rank_correlation_and_a_scale() -> None:
    rates = np.geomspace(1e-4, 1e-2, 12).tolist()
    means = [0.1, 0.3, 0.2, *(0.4 + 0.01 * n for n in range(9))]
    (scores,) = scores_by_factor(factors(lr=rates), means)
    found = scores.factor.range
    assert found is not None
    assert (found.key, list(found.numbers), found.is_log) == ("lr", rates, True)
    assert found.places == pytest.approx(np.linspace(0, 1, 12))
    assert (found.ends[0], found.ends[2]) == (rates[0], rates[-1])
    assert scores.correlation == pytest.approx(spearmanr(rates, means).statistic)
    assert scores.matches == ()


def test_ranges_that_change_together_are_one_factor_that_is_still_a_range() -> None:
    (factor,) = factors(r=list(range(1, 13)), alpha=list(range(2, 26, 2)))
    assert factor.key == "r + alpha"
    assert factor.range is not None
    assert factor.range.key == "r"


def test_cells_need_factors_that_vary_apart() -> None:
    ranks, alphas = factor_of("r", [4, 4, 8, 8, 8]), factor_of("a", [8, 16, 8, 16, 16])
    found = cells(ranks, alphas, [0.1, 0.2, 0.3, 0.4, 0.6])
    assert found is not None
    corner = found[1, 1]
    assert (corner.mean, corner.best, corner.num_configs) == (pytest.approx(0.5), 0.6, 2)
    assert cells(factor_of("r", [4, 8]), factor_of("a", [8, 16]), [0.1, 0.2]) is None


def test_bands_hold_equally_many_the_lowest_first() -> None:
    means = np.random.default_rng(0).permutation(10).tolist()
    assert bands(means, 5) == [mean // 2 for mean in means]
    assert bands([0.5, 0.4], 5) == [2, 0]
