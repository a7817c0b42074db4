"""Logs to Weights & Biases: a wandb run for every training, and one for the study's table.

wandb may be slow, silent or gone. So one daemon thread makes all calls to it, while the loop only
puts jobs into a queue. The study's records are the truth: what wandb has not got, because its
server was lost, the program was killed or wandb itself was broken, is written again from them, at
the end, at the next start or by `python -m sweep wandb STUDY`, and never twice.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType

from sweep.core.commands import command
from sweep.core.words import counted
from sweep.loop.ports import Totals
from sweep.loop.trial import Evaluated, Event, Finished, Outcome, Paused, Run, Started
from sweep.watch.wandb_session import Session
from sweep.watch.wandb_setup import (
    FLUSH_SECONDS,
    LiveMode,
    brief,
    stop_wandb,
    wandb_variables,
)
from sweep.watch.wandb_target import Target
from sweep.watch.wandb_values import StudyLog
from sweep.watch.wandb_writer import Writer

#: Writing has no limit in time; when nothing at all has been written for so long, wandb hangs.
_HUNG_SECONDS = 600.0
#: How long an interruption waits for the run that is being written.
_LEAVE_SECONDS = 2.0


class WandbWatcher:
    """A `Watcher`, and a context manager around the sweep and all that follows it.

    Offline, a run is written once it has ended; online, it is logged while it trains. Leaving the
    context waits until wandb has it all, except after an interruption.

    Args:
        folder: The study's folder; wandb's files go to `wandb` in it.
        target: Where the runs go at wandb.
        timeout_s: Longest wait for any answer of the server.
        searched_keys: Dotted keys that are shown in the config of each run.
        read_study: The study's tables and figures; called at the end.
        on_url: Told run id and address of a run that is online. Like `say`, it is called from
            the loop's thread, at the next event.
        say: Shows the user a line.
        show_progress: Shows how many runs wandb has yet to get, while that is waited for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: LiveMode,
        target: Target,
        timeout_s: float,
        searched_keys: Sequence[str],
        read_study: Callable[[], StudyLog],
        on_url: Callable[[str, str], None],
        say: Callable[[str], None],
        show_progress: Callable[[int], None] = lambda left: None,
    ) -> None:
        self._folder = folder
        self._mode = mode
        self._read_study = read_study
        self._say = say
        self._show_progress = show_progress
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._news: SimpleQueue[Callable[[], None]] = SimpleQueue()
        #: What has ended and is not known to be held, by run id.
        self._owed: dict[str, tuple[Run, Outcome]] = {}
        self._is_leaving = False
        self._writer = Writer(folder, "", target, tuple(searched_keys), timeout_s)
        self._session = Session(
            self._writer,
            on_url=lambda run_id, url: self._news.put(partial(on_url, run_id, url)),
            say=self._say_later,
        )
        self._session.is_lost = mode == "offline"
        self._thread = Thread(target=self._work, name="wandb", daemon=True)

    def __enter__(self) -> WandbWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            self.finish()
        else:
            self.leave()

    def opened(self, totals: Totals) -> None:
        self._writer.study = totals.study
        self._thread.start()

    def planned(self, totals: Totals, reason: str | None) -> None:
        """Every run is logged as it comes."""

    def run_event(self, run: Run, event: Event) -> None:
        session = self._session
        if isinstance(event, Started):
            self._jobs.put(partial(session.begin, run))
        elif isinstance(event, Evaluated):
            self._jobs.put(partial(session.log, run, event.evaluation))
        elif isinstance(event, Paused):
            self._jobs.put(partial(session.pause, run))
        elif isinstance(event, Finished):
            self._owed[run.id] = run, event.outcome
            self._jobs.put(partial(self._end, run, event.outcome))
        self._tell_news()

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        """An earlier start may have owed it."""
        self._owed[run.id] = run, outcome
        self._jobs.put(partial(self._write, run, outcome))

    def closed(self) -> None:
        self._jobs.put(self._session.interrupt)
        self._tell_news()

    def finish(self) -> None:
        """Wait until wandb has it all, the study's tables and figures included.

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
            stop_wandb(2 * FLUSH_SECONDS)
        self._say_what_is_left()

    def _wait(self) -> None:
        moved, left = time.monotonic(), (self._jobs.qsize(), len(self._owed))
        while self._thread.is_alive():
            self._thread.join(0.2)
            self._tell_news()
            now = self._jobs.qsize(), len(self._owed)
            if now != left:
                moved, left = time.monotonic(), now
            self._show_progress(len(self._owed))
            if time.monotonic() - moved > _HUNG_SECONDS:
                self._say_later("wandb has not moved for 10 minutes, so it was left.")
                return

    def _say_what_is_left(self) -> None:
        if self._owed:
            left = counted(len(self._owed), "run")
            again = command("wandb", self._folder)
            self._say_later(f"wandb lacks {left}: the next start writes them, or `{again}`")
        script = self._folder / "wandb" / "sync.sh"
        if script.is_file():
            self._say_later(f"wandb has yet to get some runs: sh {shlex.quote(str(script))}")
        self._tell_news()

    # -- in wandb's thread -----------------------------------------------------------------------

    def _work(self) -> None:
        with wandb_variables(self._folder.resolve()):
            try:
                while (job := self._jobs.get()) is not None and not self._is_leaving:
                    job()
            except Exception as error:
                self._say_later(f"wandb stopped ({brief(error)}); the sweep goes on without it.")
            finally:
                stop_wandb(self._writer.timeout_s)

    def _end(self, run: Run, outcome: Outcome) -> None:
        self._session.end(run, outcome)
        if self._session.is_lost:
            self._write(run, outcome)

    def _write(self, run: Run, outcome: Outcome) -> None:
        if not self._session.is_lost:
            try:
                self._writer.add_run(run, outcome, "online")
            except Exception as error:
                self._session.lose(error)
        if self._session.is_lost and self._writer.add_run(run, outcome, "offline"):
            # Now and not only at the end, which a killed sweep never sees.
            self._writer.write_sync_script()
        self._owed.pop(run.id, None)

    def _complete(self) -> None:
        """All that the server has not got, and the study itself."""
        self._session.settle(wait=True)
        for run, outcome in list(self._owed.values()):
            self._write(run, outcome)
        self._add_study()
        self._writer.write_sync_script()

    def _add_study(self) -> None:
        if not self._session.is_lost:
            try:
                self._writer.add_study(self._read_study, "online")
            except Exception as error:
                self._session.lose(error)
        if self._session.is_lost:
            self._writer.add_study(self._read_study, "offline")

    def _say_later(self, line: str) -> None:
        self._news.put(partial(self._say, line))

    def _tell_news(self) -> None:
        while not self._news.empty():
            self._news.get()()
