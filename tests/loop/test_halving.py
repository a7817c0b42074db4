"""A pool of configs that is halved at each rung."""

from __future__ import annotations

from collections import Counter

import pytest

from loop_parts import InstantExecutor, ListedSearch, Memory, noisy, seeds_by_rank, sweep_of
from sweep.loop.trial import (
    Run,
    RunState,
)
from sweep.space.space import Params


def test_pool_keeps_the_best_at_each_rung() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 10)])
    executor, records = InstantExecutor(noisy, slots=2, pack_size=4, evaluations=9), Memory()
    sweep_of(search, executor, records, [0], reduction=3).run()
    assert sorted(Counter(executor.steps.values()).items()) == [(1, 6), (3, 2), (9, 1)]
    assert [number for number, value in search.told.items() if value is not None] == [8]
    assert len(search.pruned) == 8
    assert {o.reason for o in records.outcomes.values() if o.reason} == {
        "not among the best 3 at step 1",
        "not among the best 1 at step 3",
    }


def test_pool_cuts_nobody_before_the_grace_is_over() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 10)])
    executor, records = InstantExecutor(noisy, slots=2, evaluations=9), Memory()
    sweep_of(search, executor, records, [0], reduction=3, grace=2).run()
    assert sorted(Counter(executor.steps.values()).items()) == [(2, 6), (6, 2), (9, 1)]


@pytest.mark.parametrize("finished", range(1, 9))
def test_pool_decides_the_same_after_a_stop_between_rungs(finished: int) -> None:
    """What was told is kept; everything else is asked for again, from its first rung."""
    points = [{"r": r} for r in range(1, 10)]
    whole = Memory()
    sweep_of(
        ListedSearch(points), InstantExecutor(noisy, evaluations=9), whole, [0], reduction=3
    ).run()
    broken = Memory()
    broken.runs = dict(whole.runs)
    broken.outcomes = dict(list(whole.outcomes.items())[:finished])
    sweep_of(
        ListedSearch(points), InstantExecutor(noisy, evaluations=9), broken, [0], reduction=3
    ).run()
    assert broken.outcomes == whole.outcomes


def test_audited_runs_of_a_pool_are_trained_on_and_take_nobody_s_place() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 28)])
    executor, records = InstantExecutor(noisy, slots=2, evaluations=9), Memory()
    sweep_of(search, executor, records, [0], reduction=3, audit=0.2).run()
    audited = [o for o in records.outcomes.values() if o.audited_step is not None]
    assert audited
    assert all(o.state is RunState.COMPLETE for o in audited)
    in_race = [
        records.runs[name].recipe.lora.r
        for name, o in records.outcomes.items()
        if o.state is RunState.COMPLETE and o.audited_step is None
    ]
    assert sorted(in_race) == [25, 26, 27]


@pytest.mark.long
def test_run_that_a_pool_cuts_is_noted_at_its_own_step_also_over_a_stop() -> None:
    """Configs of other batches or epochs come to the same evaluation at other steps."""
    points: list[Params] = [{"r": r} for r in range(1, 28)]

    def size(run: Run) -> int:
        return 100 if run.recipe.lora.r % 2 else 10

    def trained(records: Memory) -> Memory:
        executor = InstantExecutor(noisy, slots=2, pack_size=4, evaluations=9, step_size=size)
        sweep_of(ListedSearch(points), executor, records, [0], reduction=3, audit=0.2).run()
        return records

    whole = trained(Memory())
    for name, outcome in whole.outcomes.items():
        own = {size(whole.runs[name]) * level for level in (1, 3)}
        if outcome.state is RunState.PRUNED:
            assert outcome.reason is not None
            assert int(outcome.reason.rpartition(" ")[2]) == outcome.evaluations[-1].step
        assert outcome.audited_step is None or outcome.audited_step in own
    assert len({o.audited_step for o in whole.outcomes.values() if o.audited_step}) > 1
    for finished in range(1, 27, 5):
        broken = Memory()
        broken.runs = dict(whole.runs)
        broken.outcomes = dict(list(whole.outcomes.items())[:finished])
        assert trained(broken).outcomes == whole.outcomes


def test_pool_that_cuts_the_first_seed_cuts_the_config() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 10)])
    executor, records = InstantExecutor(noisy, slots=2, evaluations=9), Memory()
    sweep_of(search, executor, records, [0, 1], race=False, prunes=True, reduction=3).run()
    by_rank = {r: set(s) for r, s in seeds_by_rank(executor, records).items()}
    assert by_rank == {r: {0, 1} if r == 9 else {0} for r in range(1, 10)}
    assert sorted(search.pruned) == list(range(8))
