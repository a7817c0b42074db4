"""Who may still be the best: by the luck of the seeds, or seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product
from statistics import fmean

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import rankdata, ttest_ind

from sweep.loop.race import Race, fewest_seeds
from sweep.loop.rules import RaceRule

#: By config, then by seed. Whole numbers tie, and their differences are free of rounding.
Table = dict[str, dict[int, int]]
tables = st.dictionaries(
    st.sampled_from("abcd"),
    st.dictionaries(st.integers(0, 6), st.integers(-5, 5), min_size=1),
    min_size=1,
)
RULES: list[RaceRule] = [True, "wilcoxon"]


def race_of(rule: RaceRule, table: Mapping[str, Mapping[int, float]]) -> Race:
    race = Race(rule)
    for config_id, scores in table.items():
        for seed, score in scores.items():
            race.add(config_id, seed, score)
    return race


def numbered(scores: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(scores))


@pytest.mark.parametrize("rule", [False, *RULES])
def test_nobody_is_out_before_anything_is_known(rule: RaceRule) -> None:
    race = race_of(rule, {"best": {0: 0.9}, "weak": {0: 0.1}})
    assert race.is_in("best")
    assert race.is_in("weak")
    assert race.is_in("untried")
    assert race.scores == {"best": [0.9], "weak": [0.1]}


def test_t_test_rules_out_what_luck_does_not_explain() -> None:
    race = race_of(
        True, {"best": numbered([0.90, 0.91, 0.92]), "near": {0: 0.89}, "weak": {0: 0.1}}
    )
    assert race.is_in("best")
    assert race.is_in("near")
    assert not race.is_in("weak")


@pytest.mark.parametrize(
    ("below", "is_in"),
    [
        ([1, 2, 3], True),
        ([1, 2, 3, 4], False),
        ([2, 2, 2, 2], False),
        ([0, 1, 2, 3], True),
        ([0, 1, 2, 3, 4], False),
        ([-1, 2, 3, 4, 5], False),
        ([1, -2, 3, 4, 5], False),
        ([1, 2, -3, 4, 5], True),
        ([-5, 1, 2, 3, 4], True),
        ([0, 0, 0, 0, 0], True),
    ],
)
def test_wilcoxon_rules_out_by_ranks_and_from_four_seeds_on(below: list[int], is_in: bool) -> None:
    best = {seed: 100.0 * seed for seed in range(len(below))}
    own = {seed: score - below[seed] for seed, score in best.items()}
    assert race_of("wilcoxon", {"best": best, "own": own}).is_in("own") == is_in


def test_luck_that_a_seed_brings_to_all_counts_in_the_t_test_alone() -> None:
    luck = [0.5, 0.1, 0.9, 0.3]
    table = {"best": numbered(luck), "own": numbered([x - 0.01 * (1 + x) for x in luck])}
    assert race_of(True, table).is_in("own")
    assert not race_of("wilcoxon", table).is_in("own")


def test_wilcoxon_pairs_by_seed_whatever_failed_and_whatever_came_first() -> None:
    best = {0: 9.0, 1: 8.0, 2: 7.0, 4: 6.0, 5: 5.0}
    own = {3: 1.0, 2: 6.0, 0: 7.0, 1: 5.0}
    assert race_of("wilcoxon", {"best": best, "own": own}).is_in("own")
    assert not race_of("wilcoxon", {"best": best, "own": {4: 2.0, **own}}).is_in("own")


def test_no_config_is_cut_below_the_fewest_seeds() -> None:
    assert [fewest_seeds(rule) for rule in (False, *RULES)] == [1, 1, 4]


def leader_of(table: Table) -> str:
    """The only config with the best mean; tables without one are passed over."""
    means = {c: Fraction(sum(scores.values()), len(scores)) for c, scores in table.items()}
    leaders = [config_id for config_id, mean in means.items() if mean == max(means.values())]
    assume(len(leaders) == 1)
    return leaders[0]


def p_by_counting(differences: Sequence[int]) -> float:
    """Of all ways to deal out the signs, the share whose ranks above 0 sum up to as little."""
    apart = np.array([d for d in differences if d])
    if not len(apart):
        return 1.0
    ranks = rankdata(np.abs(apart))
    sums = [ranks @ np.array(signs) for signs in product([0, 1], repeat=len(apart))]
    return fmean(total <= ranks @ (apart > 0) + 1e-9 for total in sums)


@pytest.mark.long
@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=6),
    st.lists(st.integers(-5, 5), min_size=2, max_size=6),
)
def test_t_test_is_that_of_two_configs(own: list[int], best: list[int]) -> None:
    assume(fmean(own) < fmean(best))
    assume(len({*own}) > 1 and len({*best}) > 1)  # scipy warns of a spread of none
    race = race_of(True, {"own": numbered(own), "best": numbered(best)})
    assert race.is_in("own") == (ttest_ind(own, best, alternative="less").pvalue > 0.025)


@pytest.mark.long
@given(tables)
def test_wilcoxon_is_exact_with_ties_and_gaps(table: Table) -> None:
    best = table[leader_of(table)]
    race = race_of("wilcoxon", table)
    for config_id, own in table.items():
        p = p_by_counting([own[seed] - best[seed] for seed in own.keys() & best.keys()])
        assert race.is_in(config_id) == (p > 0.1)


@pytest.mark.long
@given(st.sampled_from(RULES), tables, st.data())
def test_order_of_arrival_decides_nothing_and_the_leader_is_in(
    rule: RaceRule, table: Table, data: st.DataObject
) -> None:
    leader = leader_of(table)
    rows = [(c, seed, score) for c, scores in table.items() for seed, score in scores.items()]
    shuffled = Race(rule)
    for row in data.draw(st.permutations(rows)):
        shuffled.add(*row)
        assert any(shuffled.is_in(config_id) for config_id in shuffled.scores)
    assert shuffled.is_in(leader)
    ordered = race_of(rule, table)
    assert [shuffled.is_in(c) for c in table] == [ordered.is_in(c) for c in table]
