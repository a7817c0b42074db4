"""The leaders on fresh seeds: who is confirmed, on how many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop_parts import (
    InstantExecutor,
    ListedSearch,
    Memory,
    Totalled,
    expand,
    noisy,
    seeds_by_rank,
    sweep_of,
)
from sweep.loop.confirm import Confirmation
from sweep.loop.ports import Halting


def test_leaders_are_confirmed_on_fresh_seeds_with_the_baseline() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 9)])
    executor, records, totals = InstantExecutor(noisy), Memory(), Totalled()
    rule = Confirmation(top=2, seeds=3, baseline=expand({"r": 1}, 0).config_id)
    sweep_of(search, executor, records, [0, 5], [totals], confirmation=rule).run()
    seeds = seeds_by_rank(executor, records)
    assert {r: sorted(s) for r, s in seeds.items() if len(s) > 2} == {
        r: [0, 5, 6, 7, 8] for r in (1, 7, 8)
    }
    assert search.told.keys() == set(range(8))
    assert totals.runs == totals.finished == 25
    assert totals.reasons == ["confirming 3 configs, 3 fresh seeds each"]
    again, totals = InstantExecutor(noisy), Totalled()
    sweep_of(ListedSearch([]), again, records, [0, 5], [totals], confirmation=rule).run()
    assert again.trained == []


def test_confirmation_saves_seeds_where_there_is_little_room() -> None:
    rule = Confirmation(top=3, seeds=5, most=8)
    assert rule.fresh_seeds(3, used=[0]) == [1, 2]
    assert rule.fresh_seeds(5, used=[0]) == []
    assert Confirmation(top=3, seeds=5).fresh_seeds(3, used=[2, 0]) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (100, ["a", "b", "c", "base"]),
        (8, ["a", "b", "c", "base"]),
        (7, ["a", "b", "base"]),
        (4, ["a", "base"]),
        (3, []),
        (0, []),
    ],
)
def test_confirmation_saves_leaders_before_it_has_too_few_seeds(most: int, kept: list[str]) -> None:
    rule = Confirmation(top=3, seeds=5, baseline="base", most=most)
    scores = {"d": [0.1], "c": [0.2], "base": [0.0], "a": [0.4], "b": [0.3]}
    assert rule.configs(scores, tried=scores) == kept
    assert len(rule.fresh_seeds(len(kept), used=[0])) * len(kept) <= most
    among = Confirmation(top=3, seeds=5, baseline="c", most=most)
    assert set(among.configs(scores, tried=scores)) <= {"a", "b", "c"}
    assert kept == [] or "c" in among.configs(scores, tried=scores)
    alone = Confirmation(top=1, seeds=5, baseline="a", most=most)
    assert alone.configs(scores, tried=scores) == (["a"] if most >= 2 else [])


@pytest.mark.parametrize(
    ("spare", "num_configs", "num_seeds"), [(0, 3, 5), (10, 5, 5), (100, 6, 19), (1, 3, 5)]
)
def test_runs_that_the_search_has_left_go_to_more_leaders_then_to_more_seeds(
    spare: int, num_configs: int, num_seeds: int
) -> None:
    rule = Confirmation(top=2, seeds=5, baseline="0", spare=spare)
    scores = {str(score): [score / 10] for score in range(6)}
    kept = rule.configs(scores, tried=scores)
    assert len(kept) == num_configs
    assert {"0", "5", "4"} <= set(kept)
    assert len(rule.fresh_seeds(len(kept), used=[0])) == num_seeds
    assert num_configs * num_seeds <= rule.most_runs


@given(st.integers(0, 6), st.integers(1, 6), st.integers(0, 60), st.integers(0, 60))
def test_confirmation_never_takes_more_runs_than_there_are(
    top: int, seeds: int, most: int, spare: int
) -> None:
    rule = Confirmation(top=top, seeds=seeds, baseline="0", most=most, spare=spare)
    scores = {str(score): [score / 10] for score in range(6)}
    kept = rule.configs(scores, tried=scores)
    fresh = rule.fresh_seeds(len(kept), used=[0, 3])
    assert len(kept) * len(fresh) <= min(most, (top + 1) * seeds * (top > 0)) + spare
    assert not set(fresh) & {0, 3}
    assert len(kept) != 1 or top == 1
    assert bool(kept) == bool(fresh)


@pytest.mark.parametrize(("ranks", "score"), [((4, 8), None), ((4,), 0.5)])
def test_nothing_is_confirmed_where_nothing_was_chosen(
    ranks: tuple[int, ...], score: float | None
) -> None:
    executor = InstantExecutor(lambda run: score)
    search = ListedSearch([{"r": r} for r in ranks])
    sweep_of(search, executor, Memory(), [0], confirmation=Confirmation(top=3, seeds=2)).run()
    assert len(executor.trained) == len(ranks)


def test_baseline_is_confirmed_also_where_it_was_pruned() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 10)])
    executor, records = InstantExecutor(noisy, evaluations=3), Memory()
    rule = Confirmation(top=1, seeds=2, baseline=expand({"r": 2}, 0).config_id)
    sweep_of(search, executor, records, [0], reduction=3, confirmation=rule).run()
    seeds = seeds_by_rank(executor, records)
    assert sorted(r for r, s in seeds.items() if {1, 2} <= set(s)) == [2, 9]


def test_time_that_ends_with_the_search_leaves_the_confirmation_owed() -> None:
    rule = Confirmation(top=2, seeds=3)
    points = [{"r": r} for r in (4, 8, 16)]
    executor, records = InstantExecutor(noisy, slots=1), Memory()
    halted = sweep_of(
        ListedSearch(points), executor, records, [0],
        halt=lambda: Halting(len(executor.packs) > 2), confirmation=rule,
    )  # fmt: skip
    halted.run()
    assert (len(records.outcomes), halted.num_runs) == (3, 3)
    assert halted.owes_confirmation
    again = sweep_of(ListedSearch([]), InstantExecutor(noisy), records, [0], confirmation=rule)
    again.run()
    assert len(records.outcomes) == 9
    assert not again.owes_confirmation


def test_best_config_of_each_label_is_confirmed_in_place_of_the_best_of_all() -> None:
    rule = Confirmation(top=2, seeds=3, each="method", baseline="base")
    scores = {"a": [0.9], "b": [0.8], "c": [0.5], "d": [0.6], "base": [0.7]}
    labels = {"a": "lora", "b": "lora", "base": "lora", "c": "dora", "d": "dora"}
    assert rule.configs(scores, tried=scores, labels=labels) == ["a", "d", "base"]
