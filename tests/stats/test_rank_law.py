"""The rank law: rules for alpha, expected best rates, and what one learning rate leaves open."""

from __future__ import annotations

import pytest

from sweep.stats.rank_law import Adapter, AlphaRule, expected_ratio, one_rate_words, rules_of

RANKS = (2, 4, 8, 16, 32, 64)
FIXED = [Adapter(r, 16) for r in RANKS]
DOUBLE = [Adapter(r, 2 * r) for r in RANKS]
RSLORA = [Adapter(r, 16, rslora=True) for r in RANKS]


def test_three_rules_are_found_and_r_8_follows_two() -> None:
    rules = rules_of([*FIXED, *DOUBLE, *RSLORA])
    assert {rule.name for rule in rules} == {"alpha 16", "alpha 2r", "rsLoRA alpha 16"}
    assert sum(rule.holds(Adapter(8, 16)) for rule in rules) == 2


def test_free_ranks_and_alphas_are_rules_of_fixed_alpha() -> None:
    rules = rules_of([Adapter(r, alpha) for r in (4, 8, 16) for alpha in (8, 16, 32)])
    assert rules == [AlphaRule("fixed", alpha) for alpha in (8, 16, 32)]


def test_adapters_that_share_no_rule_have_none() -> None:
    assert rules_of([Adapter(4, 7), Adapter(8, 31)]) == []
    assert rules_of([Adapter(4, 8), Adapter(4, 16)]) == []


@pytest.mark.parametrize(
    ("adapters", "kind"), [(FIXED, "fixed"), (DOUBLE, "proportional"), (RSLORA, "rslora")]
)
def test_expected_rates_have_the_slope_of_their_rule(adapters: list[Adapter], kind: str) -> None:
    (rule,) = rules_of(adapters)
    assert rule.kind == kind
    for one in adapters:
        expected = (one.rank / adapters[0].rank) ** rule.slope
        assert expected_ratio(one, adapters[0]) == pytest.approx(expected)


def test_ranks_at_one_rate_are_told_what_the_law_expects() -> None:
    pairs = [Adapter(8, 16), Adapter(16, 32), Adapter(8, 16)]
    assert one_rate_words(pairs, [1e-3] * 3) == (
        "r 16 was tried at learning rate 0.001 alone; by the rank law its own best rate is 0.71 "
        "times that of r 8."
    )
    several = one_rate_words(DOUBLE[:3], [1e-3])
    assert "r 4 and r 8 were tried" in several
    assert "0.71 and 0.50 times that of r 2" in several
    many = one_rate_words(DOUBLE, [1e-3])
    assert "r 4, r 8, ... and r 64" in many
    both = one_rate_words([Adapter(8, 16), Adapter(8, 32), Adapter(16, 16)], [1e-3])
    assert both.startswith("r 8 alpha 32 was tried")


def test_one_alpha_is_said_to_need_no_other_rate() -> None:
    said = one_rate_words(FIXED, [1e-3])
    assert said.startswith("All ranks were tried at learning rate 0.001 alone")
    assert "one best rate for all" in said


@pytest.mark.parametrize(
    ("adapters", "rates"),
    [([], []), (DOUBLE, [1e-3, 2e-3]), ([Adapter(8, 16), Adapter(8, 32)], [1e-3])],
)
def test_nothing_is_said_where_rates_differ_or_ranks_do_not(
    adapters: list[Adapter], rates: list[float]
) -> None:
    assert one_rate_words(adapters, rates) == ""
