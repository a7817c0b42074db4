"""The loop, with real results and a trainer that does nothing at its outermost edge."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sweep.core.orchestrator import Sweep
from sweep.core.ports import Handle, Pack, Totals
from sweep.core.recipe import Recipe
from sweep.core.space import Params
from sweep.core.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Outcome,
    Run,
    RunState,
    Started,
    Trial,
)


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
    """Finishes packs in reverse order of submission, with the outcome that `score` gives."""

    num_free = 1

    def __init__(
        self, score: Callable[[Run], float | None], slots: int = 2, pack_size: int = 1
    ) -> None:
        self._score = score
        self._slots = slots
        self.pack_size = pack_size
        self._open: list[Pack] = []
        self.packs: list[Pack] = []
        self.stopped: dict[str, str] = {}
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
            if value is not None:
                handle(Evaluated(run.id, Evaluation(1, 0.5, value, value, 0.1)))
            if run.id in self.stopped:
                outcome = Outcome(RunState.PRUNED, reason=self.stopped[run.id])
            else:
                state = RunState.FAILED if value is None else RunState.COMPLETE
                outcome = Outcome(state, pearson=value)
            handle(Finished(run.id, outcome))

    def stop(self, run_id: str, reason: str) -> None:
        self.stopped[run_id] = reason

    def close(self) -> None:
        self.closed = True


class Memory:
    """Records in memory."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.closed = False

    def done(self, run_id: str) -> Outcome | None:
        outcome = self.outcomes.get(run_id)
        return outcome if outcome and outcome.state is RunState.COMPLETE else None

    def finished(self) -> list[tuple[Run, Outcome]]:
        return []

    def add(self, run: Run) -> None:
        pass

    def handle(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.outcomes[event.run_id] = event.outcome

    def close(self) -> None:
        self.closed = True


class BrokenWatcher:
    """Fails at everything."""

    def opened(self, totals: Totals) -> None:
        raise OSError("disk full")

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
    audit: float = 0.0,
) -> Sweep:
    return Sweep(
        study="s",
        search=search,
        executor=executor,
        records=records,
        watchers=[BrokenWatcher()],
        expand=expand,
        pack_key=lambda recipe: str(recipe.seed),
        seeds=seeds,
        audit=audit,
    )


def test_value_of_a_trial_is_the_mean_over_its_seeds_and_a_broken_watcher_stops_nothing() -> None:
    search = ListedSearch([{"r": 4}, {"r": 8}])
    executor = InstantExecutor(lambda run: run.recipe.lora.r + run.recipe.seed)
    records = Memory()
    sweep_of(search, executor, records, [0, 1]).run()
    assert search.told == {0: 4.5, 1: 8.5}
    assert executor.closed
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


def test_rung_counts_when_all_seeds_have_reached_it() -> None:
    search = ListedSearch([{"r": 4}])
    executor = InstantExecutor(lambda run: run.recipe.lora.r + run.recipe.seed, slots=1)
    sweep_of(search, executor, Memory(), [0, 1]).run()
    assert search.reported == [(0, 1, 4.5)]


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
