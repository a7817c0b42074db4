"""The race in the loop: which config gets how many seeds."""

from __future__ import annotations

import pytest

from loop_parts import InstantExecutor, ListedSearch, Memory, noisy, seeds_by_rank, sweep_of
from sweep.loop.rules import RaceRule
from sweep.loop.trial import (
    Run,
)


def test_weak_configs_cost_one_seed_and_the_leader_gets_all() -> None:
    search = ListedSearch([{"r": r} for r in (9, 10, 1, 2, 3, 4)])
    executor, records = InstantExecutor(noisy, slots=1), Memory()
    sweep_of(search, executor, records, [0, 1, 2], race=True).run()
    seeds = seeds_by_rank(executor, records)
    assert seeds[9] == seeds[10] == [0, 1, 2]
    assert [seeds[r] for r in (1, 2, 3, 4)] == [[0]] * 4
    assert all(value is not None for value in search.told.values())


def test_race_by_wilcoxon_costs_weak_configs_four_seeds_that_the_leader_has_too() -> None:
    def flaky(run: Run) -> float | None:
        fails = run.recipe.lora.r == 10 and run.recipe.seed == 1
        return None if fails else noisy(run)

    for score, cost in ((noisy, 4), (flaky, 5)):
        search = ListedSearch([{"r": r} for r in (9, 10, 1, 2, 3, 4)])
        executor, records = InstantExecutor(score, slots=1), Memory()
        sweep_of(search, executor, records, list(range(6)), race="wilcoxon").run()
        seeds = seeds_by_rank(executor, records)
        assert seeds[9] == seeds[10] == list(range(6))
        assert [len(seeds[r]) for r in (1, 2, 3, 4)] == [cost] * 4
        assert all(value is not None for value in search.told.values())


@pytest.mark.parametrize(("race", "num_seeds"), [(True, 3), ("wilcoxon", 6)])
def test_race_is_the_same_when_it_goes_on_after_a_stop(race: RaceRule, num_seeds: int) -> None:
    points, seeds = [{"r": r} for r in (9, 10, 1, 2, 3, 4)], list(range(num_seeds))
    whole, all_records = InstantExecutor(noisy, slots=1), Memory()
    sweep_of(ListedSearch(points), whole, all_records, seeds, race=race).run()
    assert len(whole.trained) < len(points) * num_seeds
    records = Memory()
    first = InstantExecutor(noisy, slots=1)
    sweep_of(ListedSearch(points[:3]), first, records, seeds, race=race).run()
    second = InstantExecutor(noisy, slots=1)
    sweep_of(ListedSearch(points), second, records, seeds, race=race).run()
    assert sorted(first.trained + second.trained) == sorted(whole.trained)
