"""Ports: what the loop needs of the rooms around it. Small protocols; back ends are siblings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from sweep.loop.confirm import Confirming
from sweep.loop.objectives import Value
from sweep.loop.trial import Event, Outcome, Run, Trial

#: Takes an event; called in the loop's own process and thread.
Handle = Callable[[Event], None]

#: Runs that are trained together.
Pack = tuple[Run, ...]

#: Trains a pack, may write into the folders of its runs below the one given, tells its progress
#: and one `Finished` per run, or one `Paused` where the run is to wait at a rung. It may also
#: raise: the executor makes failures of it for the runs that had not finished.
TrainFn = Callable[[Pack, Path, Handle], None]


class Halting(IntEnum):
    """Whether a sweep is to end early, and where the runs under way leave."""

    NO = 0
    #: At their next evaluation.
    AT_RUNG = 1
    #: Where they are, at their next step.
    AT_STEP = 2


class Search(Protocol):
    """Chooses configs. Trials that an earlier start left open are asked for again first."""

    def ask(self) -> Trial | None:
        """The next config, or None when the budget is used up."""

    def tell(
        self, number: int, value: Value | None, reason: str | None = None, *, pruned: bool = False
    ) -> None:
        """Record a trial's value, of each objective; None marks it as failed, or as pruned."""

    def report(self, number: int, step: int, value: float) -> bool:
        """Note a trial's value at a rung; True where its training is not worth going on with."""

    @property
    def num_trials(self) -> int:
        """Trials in total, done ones included, when the budget is used up."""


class Executor(Protocol):
    """Trains runs somewhere and reports from there."""

    @property
    def pack_size(self) -> int:
        """Most runs of a pack."""

    @property
    def num_free(self) -> int:
        """Packs that could start at once."""

    @property
    def num_open(self) -> int:
        """Packs that were submitted and have not finished."""

    def submit(self, pack: Pack) -> None:
        """Queue a pack; returns at once."""

    def stop(self, run_id: str, reason: str) -> None:
        """Ask that a run ends soon, as pruned; one that is not under way is left alone."""

    def pause(self, *, at_step: bool = False) -> None:
        """Ask that every run under way leaves at its next rung, or `at_step` where it is, and take
        up nothing more. May be called again."""

    def work(self, handle: Handle) -> None:
        """Go on until something has happened; `handle` sees it in this thread."""

    def close(self) -> None:
        """Stop all work and free everything. Safe to call twice."""


class Records(Protocol):
    """Remembers runs and what came of them."""

    def done(self, run_id: str) -> Outcome | None:
        """The outcome of a run that need not be trained again, if there is one."""

    def finished(self) -> list[tuple[Run, Outcome]]:
        """All complete and pruned runs of earlier starts, in the order of their trials."""

    def add(self, run: Run) -> None:
        """Take up a run that this sweep needs."""

    def handle(self, event: Event) -> None:
        """Record an event."""

    def confirms(self, confirming: Confirming) -> None:
        """Remember what is confirmed: until it is there, the search's own runs rank."""

    def close(self) -> None:
        """Write everything out."""


@dataclass(frozen=True)
class Totals:
    """What a sweep is up to: its name and the runs it will have when the budget is used up."""

    study: str
    runs: int


class Watcher(Protocol):
    """Listens. A watcher's failure never stops the sweep."""

    def opened(self, totals: Totals) -> None:
        """The sweep starts."""

    def planned(self, totals: Totals, reason: str | None) -> None:
        """There will be more or fewer runs than was said; `reason` is for people."""

    def run_event(self, run: Run, event: Event) -> None:
        """Something happened to a run."""

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        """A run of an earlier start counts and is not trained again."""

    def closed(self) -> None:
        """The sweep has ended, for whatever reason."""
