"""The watcher of a tracker, whichever it is: what a sweep's runs and results are logged to.

A tracker may be slow, silent or gone. So one daemon thread makes all calls to it, while the loop
only puts jobs into a queue. The study's records are the truth: what the tracker has not got, as
its server was lost, the program was killed or the tracker itself was broken, is written again from
them, at the end, at the next start or by a verb, and never twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Protocol

from sweep.core.commands import command
from sweep.core.words import counted
from sweep.loop.ports import Totals
from sweep.loop.trial import Evaluated, Evaluation, Event, Finished, Outcome, Paused, Run, Started
from sweep.watch.tracked_values import StudyLog

#: Writing has no limit in time; when nothing at all has been written for so long, it hangs.
_HUNG_SECONDS = 600.0
#: How long an interruption waits for the run that is being written.
_LEAVE_SECONDS = 2.0


class Tracker(Protocol):
    """What runs are logged to. All but `open` and the last two is called in one thread.

    What it raises ends all tracking of this start; a server that is gone is its own affair.
    """

    @property
    def name(self) -> str:
        """As people know it."""

    @property
    def verb(self) -> str:
        """That writes what it lacks."""

    def open(self, study: str) -> None:
        """The sweep starts; before any other call, in the loop's thread."""

    def at_work(self) -> AbstractContextManager[None]:
        """Around all that is called in the thread."""

    def begin(self, run: Run) -> None:
        """A worker took the run up, perhaps for the second time."""

    def log(self, run: Run, evaluation: Evaluation) -> None: ...

    def pause(self, run: Run) -> None: ...

    def end(self, run: Run, outcome: Outcome) -> bool:
        """A run has ended that was trained just now; whether the tracker is known to hold it."""

    def write(self, run: Run, outcome: Outcome) -> bool:
        """Write a run from its record, if it is not held already; whether it is now."""

    def interrupt(self) -> None:
        """What is still under way is trained on later."""

    def settle(self) -> None:
        """All has ended: what follows is the last that is written in this start."""

    def write_study(self, read: Callable[[], StudyLog]) -> bool:
        """Write the study's own run; whether it is held now."""

    def leave(self) -> None:
        """End soon: an interruption."""

    def last_words(self) -> list[str]:
        """What is left to be done by people."""


class News:
    """What a tracker's thread has to say, told in the loop's thread at the next event."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def later(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def tell(self) -> None:
        while not self._calls.empty():
            self._calls.get()()


class TrackingWatcher:
    """A `Watcher`, and a context manager around the sweep and all that follows it.

    Leaving the context waits until the tracker has it all, except after an interruption.

    Args:
        folder: The study's.
        read_study: The study's tables and figures; called at the end.
        say: Shows the user a line, from the loop's thread.
        show_progress: Shows how many runs are yet to be written, while that is waited for.
    """

    def __init__(
        self,
        folder: Path,
        tracker: Tracker,
        news: News,
        *,
        read_study: Callable[[], StudyLog],
        say: Callable[[str], None],
        show_progress: Callable[[int], None] = lambda left: None,
    ) -> None:
        self._folder = folder
        self._tracker = tracker
        self._news = news
        self._read_study = read_study
        self._say = say
        self._show_progress = show_progress
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        #: What has ended and is not known to be held, by run id.
        self._owed: dict[str, tuple[Run, Outcome]] = {}
        self._lacks_study = False
        self._is_leaving = False
        self._thread = Thread(target=self._work, name=tracker.verb, daemon=True)

    @property
    def lacks(self) -> bool:
        """Whether something is not known to be held."""
        return bool(self._owed) or self._lacks_study

    def __enter__(self) -> TrackingWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            self.finish()
        else:
            self.leave()

    def opened(self, totals: Totals) -> None:
        self._tracker.open(totals.study)
        self._thread.start()

    def planned(self, totals: Totals, reason: str | None) -> None:
        """Every run is logged as it comes."""

    def run_event(self, run: Run, event: Event) -> None:
        tracker = self._tracker
        if isinstance(event, Started):
            self._jobs.put(partial(tracker.begin, run))
        elif isinstance(event, Evaluated):
            self._jobs.put(partial(tracker.log, run, event.evaluation))
        elif isinstance(event, Paused):
            self._jobs.put(partial(tracker.pause, run))
        elif isinstance(event, Finished):
            self._owe(run, event.outcome, tracker.end)
        self._news.tell()

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        """An earlier start may have owed it."""
        self._owe(run, outcome, self._tracker.write)

    def closed(self) -> None:
        self._jobs.put(self._tracker.interrupt)
        self._news.tell()

    def finish(self) -> None:
        """Wait until the tracker has it all, the study's tables and figures included.

        Raises:
            BaseException: an interruption of the wait; what is missing is left for later.
        """
        if self._thread.ident is None:  # The sweep has never begun.
            return
        self._jobs.put(self._complete)
        self._jobs.put(None)
        try:
            self._wait()
        except BaseException:
            self._show_progress(0)
            self.leave()
            raise
        self._show_progress(0)
        self._say_what_is_left()

    def leave(self) -> None:
        """End soon, in order: the run that is being written is finished, the rest comes later."""
        self._is_leaving = True
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join(_LEAVE_SECONDS)
            self._tracker.leave()
        self._say_what_is_left()

    def _owe(self, run: Run, outcome: Outcome, write: Callable[[Run, Outcome], bool]) -> None:
        self._owed[run.id] = run, outcome
        self._jobs.put(partial(self._pay, run, outcome, write))

    def _wait(self) -> None:
        moved, left = time.monotonic(), (self._jobs.qsize(), len(self._owed))
        while self._thread.is_alive():
            self._thread.join(0.2)
            self._news.tell()
            now = self._jobs.qsize(), len(self._owed)
            if now != left:
                moved, left = time.monotonic(), now
            self._show_progress(len(self._owed))
            if time.monotonic() - moved > _HUNG_SECONDS:
                self._say_later(
                    f"{self._tracker.name} has not moved for 10 minutes, so it was left."
                )
                return

    def _say_what_is_left(self) -> None:
        if self.lacks:
            left = counted(len(self._owed), "run") if self._owed else "the study's own run"
            again = command(self._tracker.verb, self._folder)
            self._say_later(
                f"{self._tracker.name} lacks {left}: the next start writes them, or `{again}`"
            )
        for line in self._tracker.last_words():
            self._say_later(line)
        self._news.tell()

    # -- in the tracker's thread -----------------------------------------------------------------

    def _work(self) -> None:
        with self._tracker.at_work():
            try:
                while (job := self._jobs.get()) is not None and not self._is_leaving:
                    job()
            except Exception as error:
                name = self._tracker.name
                self._say_later(f"{name} stopped ({brief(error)}); the sweep goes on without it.")

    def _pay(self, run: Run, outcome: Outcome, write: Callable[[Run, Outcome], bool]) -> None:
        if write(run, outcome):
            self._owed.pop(run.id, None)

    def _complete(self) -> None:
        """All that it has not got, and the study itself."""
        self._tracker.settle()
        for run, outcome in list(self._owed.values()):
            self._pay(run, outcome, self._tracker.write)
        self._lacks_study = not self._tracker.write_study(self._read_study)

    def _say_later(self, line: str) -> None:
        self._news.later(partial(self._say, line))


def brief(error: BaseException) -> str:
    """First line of a message that may have many, or none."""
    unspoken = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return next(iter(str(error).splitlines()), "") or unspoken
