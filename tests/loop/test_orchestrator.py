"""The loop, with real results and a trainer that does nothing at its outermost edge."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.core.recipe import Recipe
from sweep.loop.confirm import Confirmation, Confirming
from sweep.loop.orchestrator import Sweep
from sweep.loop.ports import Handle, Pack, Totals, Watcher
from sweep.loop.rules import RaceRule, Rules
from sweep.loop.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Outcome,
    Paused,
    Run,
    RunState,
    Started,
    Trial,
)
from sweep.space.space import Params


class ListedSearch:
    """Hands out the given points and notes what it is told."""

    def __init__(self, points: list[Params]) -> None:
        self._trials = deque(Trial(i, point) for i, point in enumerate(points))
        self.num_trials = len(points)
        self.told: dict[int, float | None] = {}
        self.reasons: dict[int, str] = {}
        self.reported: list[tuple[int, int, float]] = []
        self.prune_below = -1.0
        self.pruned: list[int] = []

    @property
    def waiting(self) -> deque[Trial]:
        return self._trials

    def ask(self) -> Trial | None:
        return self._trials.popleft() if self._trials else None

    def report(self, number: int, step: int, value: float) -> bool:
        self.reported.append((number, step, value))
        return value < self.prune_below

    def tell(
        self, number: int, value: float | None, reason: str | None = None, *, pruned: bool = False
    ) -> None:
        if pruned:
            self.pruned.append(number)
        assert number not in self.told
        self.told[number] = value
        if reason:
            self.reasons[number] = reason


class InstantExecutor:
    """Finishes packs in reverse order of submission, with the outcome that `score` gives.

    A run is evaluated `evaluations` times, with the same score, or until it is to pause; its
    evaluations are `step_size` steps apart.
    """

    num_free = 1

    def __init__(
        self,
        score: Callable[[Run], float | None],
        slots: int = 2,
        pack_size: int = 1,
        evaluations: int = 1,
        step_size: Callable[[Run], int] = lambda run: 1,
    ) -> None:
        self._score = score
        self._step_size = step_size
        self._evaluations = evaluations
        self._slots = slots
        self.pack_size = pack_size
        self._open: list[Pack] = []
        self.packs: list[Pack] = []
        self.stopped: dict[str, str] = {}
        #: Evaluations that a run has come to.
        self.steps: dict[str, int] = {}
        self.paused = False
        self.closed = False

    @property
    def trained(self) -> list[str]:
        return [run.id for pack in self.packs for run in pack]

    @property
    def num_open(self) -> int:
        return len(self._open)

    def submit(self, pack: Pack) -> None:
        self._open.append(pack)
        self.num_free = self._slots - len(self._open)

    def work(self, handle: Handle) -> None:
        pack = self._open.pop()
        self.num_free = self._slots - len(self._open)
        self.packs.append(pack)
        for run in pack:
            value = self._score(run)
            handle(Started(run.id, "here"))
            last = 1 if self.paused else min(self._evaluations, run.until or self._evaluations)
            rungs = tuple(
                Evaluation(number * self._step_size(run), 0.5, value, value, 0.1)
                for number in range(1, last + 1)
                if value is not None
            )
            for rung in rungs:
                handle(Evaluated(run.id, rung))
            self.steps[run.id] = last
            if run.id in self.stopped:
                outcome = Outcome(RunState.PRUNED, reason=self.stopped[run.id], evaluations=rungs)
            elif rungs and last < self._evaluations:
                handle(Paused(run.id, Outcome(RunState.PRUNED, evaluations=rungs)))
                continue
            else:
                state = RunState.FAILED if value is None else RunState.COMPLETE
                outcome = Outcome(state, pearson=value, evaluations=rungs)
            handle(Finished(run.id, outcome))

    def stop(self, run_id: str, reason: str) -> None:
        self.stopped[run_id] = reason

    def pause(self) -> None:
        self.paused = True

    def close(self) -> None:
        self.closed = True


class Memory:
    """Records in memory."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.confirming: Confirming | None = None
        self.closed = False

    def done(self, run_id: str) -> Outcome | None:
        outcome = self.outcomes.get(run_id)
        return outcome if outcome and outcome.state is not RunState.FAILED else None

    def finished(self) -> list[tuple[Run, Outcome]]:
        return [(self.runs[run_id], outcome) for run_id, outcome in self.outcomes.items()]

    def add(self, run: Run) -> None:
        self.runs[run.id] = run

    def handle(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.outcomes[event.run_id] = event.outcome

    def confirms(self, confirming: Confirming) -> None:
        self.confirming = confirming

    def close(self) -> None:
        self.closed = True


class BrokenWatcher:
    """Fails at everything."""

    def opened(self, totals: Totals) -> None:
        raise OSError("disk full")

    def planned(self, totals: Totals, reason: str | None) -> None:
        raise RuntimeError("no server")

    def run_event(self, run: Run, event: Event) -> None:
        raise RuntimeError("no server")

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        raise RuntimeError("no server")

    def closed(self) -> None:
        raise RuntimeError("no server")


def expand(params: Params, seed: int) -> Recipe:
    return Recipe(seed=seed).with_values({"lora.r": params["r"]})


def sweep_of(
    search: ListedSearch,
    executor: InstantExecutor,
    records: Memory,
    seeds: list[int],
    watchers: Sequence[Watcher] = (BrokenWatcher(),),
    halt: Callable[[], bool] = lambda: False,
    num_runs: int | None = None,
    **rules: Any,
) -> Sweep:
    return Sweep(
        study="s",
        search=search,
        executor=executor,
        records=records,
        watchers=watchers,
        expand=expand,
        pack_key=lambda recipe: str(recipe.seed),
        rules=Rules(tuple(seeds), **rules),
        halt=halt,
        num_runs=num_runs,
    )


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
    sweep = sweep_of(search, executor, records, [0], halt=lambda: len(executor.packs) > 1)
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


def noisy(run: Run) -> float:
    """Configs differ by 0.01 a rank, seeds by a few thousandths."""
    luck = random.Random(run.id).gauss(0, 0.003)
    return 0.5 + 0.01 * run.recipe.lora.r + luck


def seeds_by_rank(executor: InstantExecutor, records: Memory) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for run_id in executor.trained:
        recipe = records.runs[run_id].recipe
        found.setdefault(recipe.lora.r, []).append(recipe.seed)
    return found


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


class Totalled:
    """Notes how many runs there will be."""

    def __init__(self) -> None:
        self.runs = 0
        self.finished = 0
        self.reasons: list[str] = []

    def opened(self, totals: Totals) -> None:
        self.runs = totals.runs

    def planned(self, totals: Totals, reason: str | None) -> None:
        self.runs = totals.runs
        self.reasons += [reason] if reason else []

    def run_event(self, run: Run, event: Event) -> None:
        self.finished += isinstance(event, Finished)

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        self.finished += 1

    def closed(self) -> None:
        pass


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


def test_pool_that_cuts_the_first_seed_cuts_the_config() -> None:
    search = ListedSearch([{"r": r} for r in range(1, 10)])
    executor, records = InstantExecutor(noisy, slots=2, evaluations=9), Memory()
    sweep_of(search, executor, records, [0, 1], race=False, prunes=True, reduction=3).run()
    by_rank = {r: set(s) for r, s in seeds_by_rank(executor, records).items()}
    assert by_rank == {r: {0, 1} if r == 9 else {0} for r in range(1, 10)}
    assert sorted(search.pruned) == list(range(8))


def test_time_that_ends_with_the_search_leaves_the_confirmation_owed() -> None:
    rule = Confirmation(top=2, seeds=3)
    points = [{"r": r} for r in (4, 8, 16)]
    executor, records = InstantExecutor(noisy, slots=1), Memory()
    halted = sweep_of(
        ListedSearch(points), executor, records, [0],
        halt=lambda: len(executor.packs) > 2, confirmation=rule,
    )  # fmt: skip
    halted.run()
    assert (len(records.outcomes), halted.num_runs) == (3, 3)
    assert halted.owes_confirmation
    again = sweep_of(ListedSearch([]), InstantExecutor(noisy), records, [0], confirmation=rule)
    again.run()
    assert len(records.outcomes) == 9
    assert not again.owes_confirmation


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
