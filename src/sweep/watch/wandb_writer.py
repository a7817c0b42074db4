"""Writes to wandb what it lacks of a study: whole runs, from their records, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sweep.core.metric import Metric
from sweep.loop.trial import Evaluation, Outcome, Run, RunState
from sweep.study.files import StudyFiles
from sweep.study.wandb_ledger import (
    OF_THE_STUDY,
    Held,
    Ledger,
    attempt_of,
    attempt_of_study,
)
from sweep.watch.tracked_values import StudyLog, config_of, scores_at, summary_of
from sweep.watch.wandb_files import (
    Logged,
    folder_of,
    logged_runs,
    remove_unsent,
    unsent,
    write_sync_script,
)
from sweep.watch.wandb_setup import LiveMode, close_run, open_run, start_call, stop_wandb
from sweep.watch.wandb_target import Target
from sweep.watch.wandb_values import media_of

_PATIENCE_SECONDS = 3.0


@dataclass
class Writer:
    """Knows what wandb holds of a study, and writes the rest.

    Files are written without any limit in time; where a server takes them, every wait has one.

    Args:
        study: Its name.
        keys: Dotted keys that are shown in the config of each run.
        timeout_s: Of the server.
    """

    folder: Path
    study: str
    target: Target
    keys: tuple[str, ...]
    timeout_s: float
    ledger: Ledger = field(init=False)
    #: Run id to attempt, of all runs that wandb holds or is to hold.
    attempts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(StudyFiles(self.folder))
        self._was_there = {path.name for path in self._files.glob("*run-*")}

    @property
    def _files(self) -> Path:
        return StudyFiles(self.folder).wandb

    def add_run(self, run: Run, outcome: Outcome, mode: LiveMode) -> bool:
        """See to it that wandb holds a run that has ended; whether it had to be written.

        Raises:
            Exception: whatever wandb has to say, twice in a row where it writes files.
        """
        attempt, metric = attempt_of(outcome), run.recipe.task.measure
        self.attempts[run.id] = attempt
        if self.ledger.holds(run.id, attempt) or self._adopted(run, outcome, attempt):
            return False
        self._write(
            run.id,
            attempt,
            mode,
            fill=lambda handle: log_curve(handle, outcome.evaluations, metric),
            summary=summary_of(outcome, metric),
            exit_code=1 if outcome.state is RunState.FAILED else 0,
            name=run.name,
            job_type="train",
            config=config_of(run, self.study, self.keys),
        )
        return True

    def add_study(self, read: Callable[[], StudyLog], mode: LiveMode) -> bool:
        """The same for the study's own run, with its tables and figures."""
        attempt = attempt_of_study(self.attempts)
        if self.ledger.holds(OF_THE_STUDY, attempt) or self._adopted_study(attempt):
            return False
        log = read()
        self._write(
            OF_THE_STUDY,
            attempt,
            mode,
            fill=lambda handle: handle.log(media_of(log)),
            summary=log.summary(),
            exit_code=0,
            name=self.target.study_name or self.study,
            job_type="study",
            config={"study": self.study},
        )
        return True

    def hold(self, of: str, attempt: str, wandb_id: str, folder: str) -> None:
        """Remember that wandb has got it."""
        self.ledger.add(Held(of, attempt, wandb_id, folder))

    def waiting(self) -> list[str]:
        """Folders of wandb's files that are to be sent."""
        return unsent(self._files, (held.folder for held in self.ledger.held))

    def write_sync_script(self) -> Path | None:
        """The script that sends them; None where there are none."""
        return write_sync_script(self._files, self.waiting()) if self._files.is_dir() else None

    def _write(self, of: str, attempt: str, mode: LiveMode, **fields: Any) -> None:
        """Where wandb's own process has died or hung up, a fresh one has another try."""
        wandb_id = self.ledger.wandb_id(of, attempt)
        if mode == "online":
            call = start_call(lambda: self._write_once(wandb_id, mode, **fields))
            folder = call.result(self.timeout_s + _PATIENCE_SECONDS)
        else:
            try:
                folder = self._write_once(wandb_id, mode, **fields)
            except Exception:
                stop_wandb(_PATIENCE_SECONDS)
                folder = self._write_once(wandb_id, mode, **fields)
        self.hold(of, attempt, wandb_id, folder)

    def _write_once(
        self,
        wandb_id: str,
        mode: LiveMode,
        *,
        fill: Callable[[Any], None],
        summary: dict[str, Any],
        exit_code: int,
        **fields: Any,
    ) -> str:
        """Write a whole run; the folder of its files. What an earlier start has begun is gone."""
        remove_unsent(self._files, wandb_id)
        timeout_s = self.timeout_s if mode == "online" else None
        handle = open_run(
            self.folder.resolve(),
            self.target,
            study=self.study,
            mode=mode,
            wandb_id=wandb_id,
            timeout_s=timeout_s,
            **fields,
        )
        folder = Path(handle.dir).parent.name
        fill(handle)
        close_run(handle, summary, exit_code)
        if mode == "offline" and folder_of(self._files, wandb_id) is None:
            raise OSError(f"wandb left no files of {fields['name']}")
        return folder

    # -- studies of before there was a ledger ----------------------------------------------------

    @cached_property
    def _older(self) -> list[Logged]:
        """What an older program has written in full."""
        if not self.ledger.is_new or not self._was_there:
            return []
        found = logged_runs(self._files)
        return [run for run in found if run.is_whole and run.folder in self._was_there]

    def _adopted(self, run: Run, outcome: Outcome, attempt: str) -> bool:
        wanted = (run.id, outcome.state.value, outcome.score)
        for found in self._older:
            says = found.summary.get("state"), found.summary.get(run.recipe.task.measure.name)
            if (found.config.get("run_id"), *says) == wanted:
                self.hold(run.id, attempt, found.wandb_id, found.folder)
                return True
        return False

    def _adopted_study(self, attempt: str) -> bool:
        """Its run is known by its sums. It stays where no run has come since; else it is written
        again under its own id."""
        own = [found for found in self._older if "num_complete" in found.summary]
        if not own:
            return False
        self.ledger.name_study(own[-1].wandb_id)
        if {held.folder for held in self.ledger.held} - {found.folder for found in self._older}:
            return False
        self.hold(OF_THE_STUDY, attempt, own[-1].wandb_id, own[-1].folder)
        return True


def log_curve(handle: Any, evaluations: Iterable[Evaluation], metric: Metric) -> None:
    """Log evaluations, each at its step."""
    for evaluation in evaluations:
        step, history = scores_at(evaluation, metric)
        handle.log(history, step=step, commit=True)
