"""Trials that fall behind: stopped, told as pruned, audited."""

from __future__ import annotations

from dataclasses import replace

from loop_parts import InstantExecutor, ListedSearch, Memory, expand, seeds_by_rank, sweep_of
from sweep.loop.trial import (
    RunState,
)
from sweep.space.space import Params


def test_trial_that_falls_behind_is_stopped_and_told_as_pruned() -> None:
    search = ListedSearch([{"r": r} for r in (4, 1, 8, 2)])
    search.prune_below = 3.0
    executor = InstantExecutor(lambda run: float(run.recipe.lora.r), slots=1)
    sweep_of(search, executor, Memory(), [0]).run()
    assert search.told == {0: 4.0, 1: None, 2: 8.0, 3: None}
    assert sorted(search.pruned) == [1, 3]
    assert set(executor.stopped.values()) == {"pruned at step 1"}


def test_pruner_looks_at_the_first_seed() -> None:
    search = ListedSearch([{"r": 4}])
    executor = InstantExecutor(lambda run: run.recipe.lora.r + run.recipe.seed, slots=1)
    sweep_of(search, executor, Memory(), [0, 1]).run()
    assert search.reported == [(0, 1, 4.0)]


def test_search_is_told_the_curves_of_runs_that_were_done_before() -> None:
    points: list[Params] = [{"r": 4}, {"r": 8}]
    executor, records = (
        InstantExecutor(lambda run: float(run.recipe.lora.r), evaluations=3),
        Memory(),
    )
    first = ListedSearch(points)
    sweep_of(first, executor, records, [0, 1]).run()
    name = expand({"r": 8}, 0).run_id
    records.outcomes[name] = replace(records.outcomes[name], audited_step=2)
    again = ListedSearch(points)
    again.prune_below = 100.0
    sweep_of(again, executor, records, [0, 1]).run()
    assert again.reported == [(0, 1, 4.0), (0, 2, 4.0), (0, 3, 4.0), (1, 1, 8.0), (1, 2, 8.0)]
    # What is done is done, whatever the pruner would say now.
    assert again.told == first.told


def test_folded_trial_never_stops_the_run_of_another() -> None:
    search = ListedSearch([{"r": 4}, {"r": 4}, {"r": 8}])
    search.prune_below = 5.0
    executor = InstantExecutor(lambda run: float(run.recipe.lora.r), slots=3)
    executor.num_free = 3
    records = Memory()
    # Trial 0 is the first to be pruned, so it is audited; trial 1 waits for the same run.
    sweep_of(search, executor, records, [0], audit=0.01).run()
    assert executor.stopped == {}
    assert search.told == {0: 4.0, 1: 4.0, 2: 8.0}
    assert [number for number, _, _ in search.reported] == [2, 0]


def test_trial_of_a_training_that_is_done_has_no_say_either() -> None:
    search = ListedSearch([{"r": 4}, {"r": 4}, {"r": 8}])
    executor = InstantExecutor(lambda run: float(run.recipe.lora.r), slots=1)
    sweep_of(search, executor, Memory(), [0]).run()
    assert search.told == {0: 4.0, 1: 4.0, 2: 8.0}
    assert [number for number, _, _ in search.reported] == [0, 2]


def test_some_trials_to_be_pruned_are_trained_on_and_marked() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 41)])
    search.prune_below = 1000.0
    records = Memory()
    executor = InstantExecutor(lambda run: float(run.recipe.lora.r), slots=1)
    sweep_of(search, executor, records, [0], audit=0.2).run()
    audited = [o for o in records.outcomes.values() if o.audited_step == 1]
    assert all(o.state is RunState.COMPLETE for o in audited)
    assert len(audited) + len(search.pruned) == 40
    assert 1 < len(audited) < 20
    # However rare, the first one is among them.
    assert search.told[0] is not None


def test_pruner_that_cuts_the_first_seed_cuts_the_config() -> None:
    """Also where the seeds don't race: no seed is trained beside the one that decides."""
    search = ListedSearch([{"r": r} for r in (4, 1, 8, 2)])
    search.prune_below = 3.0
    executor, records = InstantExecutor(lambda run: float(run.recipe.lora.r), slots=1), Memory()
    sweep_of(search, executor, records, [0, 1, 2], race=False, prunes=True).run()
    assert search.told == {0: 4.0, 1: None, 2: 8.0, 3: None}
    assert sorted(search.pruned) == [1, 3]
    seeds = seeds_by_rank(executor, records)
    assert seeds == {4: [0, 1, 2], 1: [0], 8: [0, 1, 2], 2: [0]}
