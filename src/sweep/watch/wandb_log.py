"""Logs to Weights & Biases: a wandb run for every training, and one for the study's table.

wandb may be slow, silent or gone. So one daemon thread makes all calls to it, each bounded in
time, while the loop only puts jobs into a queue. What is logged is on disk before it is sent;
`<study folder>/wandb/sync.sh` sends later what did not get through.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from sweep.loop.ports import Totals
from sweep.loop.trial import Evaluated, Event, Finished, Outcome, Paused, Run, Started
from sweep.watch.wandb_session import GRACE_SECONDS, Session
from sweep.watch.wandb_setup import (
    LiveMode,
    brief,
    stop_wandb,
    wandb_variables,
    write_sync_script,
)
from sweep.watch.wandb_values import StudyLog


class WandbWatcher:
    """A `Watcher` that makes the loop wait only at the end, for little more than `timeout_s`.

    A run gets a new wandb id at each attempt that follows one with a history: a run that was
    killed and is trained again would meet its own half history under a fixed one. `run_id` in the
    config joins the attempts.
    When the server is lost, new runs are logged offline; when that fails too, wandb is given up
    for the rest of the sweep. Either is said once.

    Args:
        folder: The study's folder; wandb's files go to `wandb` in it.
        timeout_s: Longest wait for any call to wandb, and for everything left at the end.
        searched_keys: Dotted keys that are shown in the config of each run.
        read_study: The study's tables and figures; called at the end.
        on_url: Told run id and address of a run that is online. Like `say`, it is called from
            the loop's thread, at the next event.
        say: Shows the user a line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: LiveMode,
        project: str,
        entity: str | None,
        timeout_s: float,
        searched_keys: Sequence[str],
        read_study: Callable[[], StudyLog],
        on_url: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._timeout_s = timeout_s
        self._read_study = read_study
        self._say = say
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._news: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._session = Session(
            folder=folder.resolve(),
            mode=mode,
            project=project,
            entity=entity,
            timeout_s=timeout_s,
            keys=tuple(searched_keys),
            on_url=lambda run_id, url: self._news.put(partial(on_url, run_id, url)),
            say=self._say_later,
        )
        self._thread = Thread(target=self._work, name="wandb", daemon=True)

    def opened(self, totals: Totals) -> None:
        self._session.study = totals.study
        self._thread.start()

    def planned(self, totals: Totals, reason: str | None) -> None:
        """Every run is logged as it comes."""

    def run_event(self, run: Run, event: Event) -> None:
        if isinstance(event, Started):
            self._jobs.put(partial(self._session.begin, run))
        elif isinstance(event, Evaluated):
            self._jobs.put(partial(self._session.log, run, event.evaluation))
        elif isinstance(event, Paused):
            self._jobs.put(partial(self._session.pause, run))
        elif isinstance(event, Finished):
            self._jobs.put(partial(self._session.end, run, event.outcome))
        self._tell_news()

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        """It was logged when it was trained."""

    def closed(self) -> None:
        self._jobs.put(partial(self._session.end_study, self._read_study()))
        self._jobs.put(None)
        self._thread.join(self._timeout_s + 2 * GRACE_SECONDS)
        if self._thread.is_alive():
            self._session.abandon()
            self._say_later(f"wandb was not done within {self._timeout_s:g} s, so it was left.")
        script = write_sync_script(self._folder / "wandb")
        if script is not None:
            self._say_later(f"wandb has yet to get some runs: sh {shlex.quote(str(script))}")
        self._tell_news()

    def _work(self) -> None:
        with wandb_variables(self._session.folder):
            try:
                while (job := self._jobs.get()) is not None:
                    job()
            except Exception as error:
                self._say_later(f"wandb stopped ({brief(error)}); the sweep goes on without it.")
            finally:
                stop_wandb(self._timeout_s)

    def _say_later(self, line: str) -> None:
        self._news.put(partial(self._say, line))

    def _tell_news(self) -> None:
        while not self._news.empty():
            self._news.get()()
