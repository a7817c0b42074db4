"""The loop, with real results and a trainer that does nothing at its outermost edge."""

from __future__ import annotations

import pytest

from loop_parts import InstantExecutor, ListedSearch, Memory, Totalled, noisy, sweep_of
from sweep.loop.ports import Halting


def test_value_of_a_trial_is_the_mean_over_its_seeds_and_a_broken_watcher_stops_nothing() -> None:
    search = ListedSearch([{"r": 4}, {"r": 8}])
    executor = InstantExecutor(lambda run: run.recipe.lora.r + run.recipe.seed)
    records = Memory()
    sweep_of(search, executor, records, [0, 1]).run()
    assert search.told == {0: 4.5, 1: 8.5}
    assert executor.closed
    assert records.closed


def test_halted_sweep_pauses_what_is_under_way_and_asks_for_nothing_more() -> None:
    search = ListedSearch([{"r": r} for r in (4, 8, 16)])
    executor = InstantExecutor(lambda run: 0.5, slots=1, evaluations=2)
    records = Memory()
    sweep = sweep_of(search, executor, records, [0], halt=lambda: Halting(len(executor.packs) > 1))
    sweep.run()
    assert search.told == {0: 0.5}
    assert len(executor.trained) == 2
    assert len(search.waiting) == 1
    assert records.closed


def test_failed_runs_do_not_stop_the_sweep() -> None:
    search = ListedSearch([{"r": 4}, {"r": 8}, {"r": 16}])
    executor = InstantExecutor(lambda run: None if run.recipe.lora.r == 8 else 0.5)
    sweep_of(search, executor, Memory(), [0]).run()
    assert search.told == {0: 0.5, 1: None, 2: 0.5}


def test_seed_that_failed_leaves_the_mean_to_the_others() -> None:
    search = ListedSearch([{"r": 4}])
    executor = InstantExecutor(lambda run: None if run.recipe.seed == 1 else 0.5)
    sweep_of(search, executor, Memory(), [0, 1]).run()
    assert search.told == {0: 0.5}


def test_finished_runs_are_not_trained_again() -> None:
    records = Memory()
    first = InstantExecutor(lambda run: 0.5)
    sweep_of(ListedSearch([{"r": 4}, {"r": 8}]), first, records, [0]).run()
    second = InstantExecutor(lambda run: 0.9)
    search = ListedSearch([{"r": 4}, {"r": 8}, {"r": 16}])
    sweep_of(search, second, records, [0]).run()
    assert len(second.trained) == 1
    assert search.told == {0: 0.5, 1: 0.5, 2: 0.9}


def test_same_config_drawn_twice_at_once_is_trained_once() -> None:
    search = ListedSearch([{"r": 4}, {"r": 4}, {"r": 4}])
    executor = InstantExecutor(lambda run: 0.7)
    sweep_of(search, executor, Memory(), [0]).run()
    assert len(executor.trained) == 1
    assert search.told == {0: 0.7, 1: 0.7, 2: 0.7}
    assert search.reasons == {1: "the same training as trial 0", 2: "the same training as trial 0"}


def test_waiting_runs_of_one_key_share_packs_and_every_worker_gets_one() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 11)])
    executor = InstantExecutor(lambda run: 0.5, slots=2, pack_size=3)
    executor.num_free = 2
    sweep_of(search, executor, Memory(), [0, 1]).run()
    assert len(search.told) == 10
    assert len(executor.trained) == len(set(executor.trained)) == 20
    for pack in executor.packs:
        assert len({run.recipe.seed for run in pack}) == 1
        assert len(pack) <= 3
    assert max(len(pack) for pack in executor.packs) == 3


def test_few_runs_are_shared_out_rather_than_packed_for_one_worker() -> None:
    executor = InstantExecutor(lambda run: 0.5, slots=2, pack_size=8)
    executor.num_free = 2
    sweep_of(ListedSearch([{"r": r} for r in range(1, 5)]), executor, Memory(), [0]).run()
    assert sorted(len(pack) for pack in executor.packs) == [2, 2]


@pytest.mark.parametrize("stop_after", [0, 3, 6])
def test_number_of_runs_is_right_when_it_goes_on_after_a_stop(stop_after: int) -> None:
    points = [{"r": r} for r in (9, 10, 1, 2, 3, 4)]
    records = Memory()
    first = ListedSearch(points[:stop_after])
    sweep_of(first, InstantExecutor(noisy, slots=1), records, [0, 1, 2], race=True).run()
    left = ListedSearch(points[stop_after:])
    left.num_trials, totals = len(points), Totalled()
    sweep_of(left, InstantExecutor(noisy, slots=1), records, [0, 1, 2], [totals], race=True).run()
    assert totals.runs == totals.finished == len(records.outcomes)


def test_trials_that_share_a_training_spare_its_seeds_once() -> None:
    # Told apart by the search alone.
    points = [{"r": 10}, {"r": 1}, *({"r": 1, "spelling": i} for i in range(5))]
    search, totals = ListedSearch(points), Totalled()
    executor, records = InstantExecutor(noisy, slots=1), Memory()
    sweep_of(search, executor, records, [0, 1, 2], [totals], race=True, num_runs=6).run()
    assert totals.runs == totals.finished == len(records.outcomes) == 4


def test_number_of_runs_follows_the_race() -> None:
    totals = Totalled()
    search = ListedSearch([{"r": r} for r in (9, 10, 1, 2, 3, 4)])
    executor = InstantExecutor(noisy, slots=1)
    sweep_of(search, executor, Memory(), [0, 1, 2], [totals], race=True).run()
    assert totals.runs == totals.finished == len(executor.trained)
