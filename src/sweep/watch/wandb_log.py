"""Logs to Weights & Biases: a wandb run for every training, and one for the study's table."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sweep.loop.trial import Evaluation, Outcome, Run
from sweep.study.files import StudyFiles
from sweep.watch.tracked_values import StudyLog
from sweep.watch.tracking import News, TrackingWatcher
from sweep.watch.wandb_session import Session
from sweep.watch.wandb_setup import FLUSH_SECONDS, LiveMode, stop_wandb, wandb_variables
from sweep.watch.wandb_target import Target
from sweep.watch.wandb_writer import Writer


def wandb_watcher(
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
) -> TrackingWatcher:
    """A watcher that logs to wandb.

    Args:
        folder: The study's; wandb's files go to `wandb` in it.
        target: Where the runs go at wandb.
        timeout_s: Longest wait for any answer of the server.
        searched_keys: Dotted keys that are shown in the config of each run.
        read_study: The study's tables and figures; called at the end.
        on_url: Told run id and address of a run that is online; like `say`, from the loop's thread.
        say: Shows the user a line.
        show_progress: Shows how many runs wandb has yet to get, while that is waited for.
    """
    news = News()
    writer = Writer(folder, "", target, tuple(searched_keys), timeout_s)
    session = Session(
        writer,
        on_url=lambda run_id, url: news.later(partial(on_url, run_id, url)),
        say=lambda line: news.later(partial(say, line)),
        is_lost=mode == "offline",
    )
    return TrackingWatcher(
        folder,
        WandbTracker(writer, session),
        news,
        read_study=read_study,
        say=say,
        show_progress=show_progress,
    )


class WandbTracker:
    """A `Tracker`. Offline, a run is written once it has ended; online, while it trains."""

    name, verb = "wandb", "wandb"

    def __init__(self, writer: Writer, session: Session) -> None:
        self._writer, self._session = writer, session

    def open(self, study: str) -> None:
        self._writer.study = study

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with wandb_variables(self._writer.folder.resolve()):
            try:
                yield
            finally:
                stop_wandb(self._writer.timeout_s)

    def begin(self, run: Run) -> None:
        self._session.begin(run)

    def log(self, run: Run, evaluation: Evaluation) -> None:
        self._session.log(run, evaluation)

    def pause(self, run: Run) -> None:
        self._session.pause(run)

    def end(self, run: Run, outcome: Outcome) -> bool:
        """Online, what it holds is known later."""
        self._session.end(run, outcome)
        return self._session.is_lost and self.write(run, outcome)

    def write(self, run: Run, outcome: Outcome) -> bool:
        if not self._session.is_lost:
            try:
                self._writer.add_run(run, outcome, "online")
            except Exception as error:
                self._session.lose(error)
        if self._session.is_lost and self._writer.add_run(run, outcome, "offline"):
            # Now and not only at the end, which a killed sweep never sees.
            self._writer.write_sync_script()
        return True

    def interrupt(self) -> None:
        self._session.interrupt()

    def settle(self) -> None:
        self._session.settle(wait=True)

    def write_study(self, read: Callable[[], StudyLog]) -> bool:
        if not self._session.is_lost:
            try:
                self._writer.add_study(read, "online")
            except Exception as error:
                self._session.lose(error)
        if self._session.is_lost:
            self._writer.add_study(read, "offline")
        self._writer.write_sync_script()
        return True

    def leave(self) -> None:
        stop_wandb(2 * FLUSH_SECONDS)

    def last_words(self) -> list[str]:
        script = StudyFiles(self._writer.folder).wandb / "sync.sh"
        if not script.is_file():
            return []
        return [f"wandb has yet to get some runs: sh {shlex.quote(str(script))}"]
