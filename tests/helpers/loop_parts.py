"""Parts for a loop without a training: a search, an executor, records, watchers."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from sweep.core.recipe import Recipe
from sweep.loop.confirm import Confirming
from sweep.loop.orchestrator import Sweep
from sweep.loop.ports import Halting, Handle, Pack, Totals, Watcher
from sweep.loop.rules import Rules
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
                outcome = Outcome(state, score=value, evaluations=rungs)
            handle(Finished(run.id, outcome))

    def stop(self, run_id: str, reason: str) -> None:
        self.stopped[run_id] = reason

    def pause(self, *, at_step: bool = False) -> None:
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
    halt: Callable[[], Halting] = lambda: Halting.NO,
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
