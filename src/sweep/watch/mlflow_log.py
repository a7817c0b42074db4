"""Logs to MLflow: a run for the study, and nested in it one for every training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sweep.loop.trial import Evaluation, Outcome, Run, RunState
from sweep.study.files import StudyFiles
from sweep.study.mlflow_id import mlflow_study_id
from sweep.study.wandb_ledger import attempt_of, attempt_of_study
from sweep.watch.mlflow_store import MlflowStore
from sweep.watch.mlflow_target import MlflowTarget, mlflow_variables
from sweep.watch.tracked_values import StudyLog, config_of, summary_of
from sweep.watch.tracking import News, TrackingWatcher, brief


def mlflow_watcher(
    folder: Path,
    *,
    target: MlflowTarget,
    timeout_s: float,
    searched_keys: Sequence[str],
    read_study: Callable[[], StudyLog],
    say: Callable[[str], None],
    show_progress: Callable[[int], None] = lambda left: None,
) -> TrackingWatcher:
    """A watcher that logs to MLflow; the arguments are those of `wandb_watcher`."""
    news = News()
    tracker = MlflowTracker(
        StudyFiles(folder),
        target,
        tuple(searched_keys),
        timeout_s,
        say=lambda line: news.later(partial(say, line)),
    )
    return TrackingWatcher(
        folder, tracker, news, read_study=read_study, say=say, show_progress=show_progress
    )


@dataclass
class MlflowTracker:
    """A `Tracker`. Runs are logged while they train; a server that is lost is asked once more in
    the end."""

    files: StudyFiles
    target: MlflowTarget
    keys: tuple[str, ...]
    timeout_s: float
    say: Callable[[str], None]
    is_lost: bool = False
    #: Run id to attempt, of all runs that have ended.
    attempts: dict[str, str] = field(default_factory=dict)
    #: Run id to the last step that was logged, of all that train.
    live: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "MLflow"

    @property
    def verb(self) -> str:
        return "mlflow"

    def open(self, study: str) -> None:
        self.study = study
        study_id = mlflow_study_id(self.files)
        self.store = MlflowStore(self.target, study_id=study_id, study=study)

    def at_work(self) -> AbstractContextManager[None]:
        return mlflow_variables(self.timeout_s)

    def begin(self, run: Run) -> None:
        if run.id not in self.live:
            self._try(partial(self._begin, run))

    def log(self, run: Run, evaluation: Evaluation) -> None:
        """A run that goes on reports its evaluations again: they are logged once."""
        if evaluation.step > self.live.get(run.id, evaluation.step):
            self.live[run.id] = evaluation.step
            self._try(lambda: self.store.log(run.id, [evaluation], run.recipe.task.measure))

    def pause(self, run: Run) -> None:
        """It goes on in the same run."""

    def end(self, run: Run, outcome: Outcome) -> bool:
        return self.write(run, outcome)

    def write(self, run: Run, outcome: Outcome) -> bool:
        attempt = self.attempts[run.id] = attempt_of(outcome)
        self.live.pop(run.id, None)
        return self._try(partial(self._write, run, outcome, attempt))

    def interrupt(self) -> None:
        for run_id in list(self.live):
            self.live.pop(run_id)
            self._try(partial(self.store.stop, run_id))

    def settle(self) -> None:
        """A server that was away for a while gets what it lacks."""
        self.is_lost = False

    def write_study(self, read: Callable[[], StudyLog]) -> bool:
        if self.is_lost:
            return False
        log = read()
        return self._try(lambda: self._write_study(log))

    def leave(self) -> None:
        """Each call has its limit."""

    def last_words(self) -> list[str]:
        return []

    def _begin(self, run: Run) -> None:
        self.store.begin(run.id, run.name, config_of(run, self.study, self.keys))
        self.live[run.id] = self.store.last_step(run.id, run.recipe.task.measure)

    def _write(self, run: Run, outcome: Outcome, attempt: str) -> None:
        if self.store.holds(run.id, attempt):
            return
        metric, has_failed = run.recipe.task.measure, outcome.state is RunState.FAILED
        self.store.begin(run.id, run.name, config_of(run, self.study, self.keys))
        self.store.log_missing(run.id, outcome.evaluations, metric)
        self.store.end(
            run.id,
            summary_of(outcome, metric),
            status="FAILED" if has_failed else "FINISHED",
            attempt=attempt,
        )

    def _write_study(self, log: StudyLog) -> None:
        note = "\n\n".join(log.verdict)
        attempt = attempt_of_study({**self.attempts, "note": note})
        if self.store.holds_study(attempt):
            return
        files = self.files.report, self.files.leaderboard, self.files.table, self.files.verdict
        there = [path for path in files if path.is_file()]
        self.store.write_study(log.summary(), note=note, files=there, attempt=attempt)

    def _try(self, call: Callable[[], None]) -> bool:
        """Whether it was done; a server that does not answer is not asked again for now."""
        if self.is_lost:
            return False
        try:
            call()
        except Exception as error:
            self.is_lost = True
            self.live.clear()
            self.say(f"MLflow does not answer ({brief(error)}); the sweep goes on without it.")
            return False
        return True
