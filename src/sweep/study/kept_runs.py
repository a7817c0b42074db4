"""The records of runs below one folder: what is done, what goes on; kept as events come."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from sweep.loop.trial import (
    Evaluated,
    Event,
    Finished,
    Outcome,
    Paused,
    PutBack,
    Run,
    RunState,
    Started,
)
from sweep.study.files import RunFiles, StudyFiles
from sweep.study.record import Record, read_record, write_record

logger = logging.getLogger(__name__)

#: A run that has ended so is not trained again.
_DONE = (RunState.COMPLETE, RunState.PRUNED)


class KeptRuns:
    """Knows every run, and writes the record of each that ends.

    Args:
        files: Of the folder that the runs lie in.
        versions: Versions of the libraries, kept with every run.
    """

    def __init__(self, files: StudyFiles, versions: Mapping[str, str]) -> None:
        self._files = files
        self._versions = dict(versions)
        self._records = {record.run.id: record for record in read_records(files)}

    def records(self) -> list[Record]:
        """All records in the order of the trials."""
        return in_order(self._records.values())

    def done(self, run_id: str) -> Outcome | None:
        """The outcome of a run that need not be trained again, if there is one."""
        record = self._records.get(run_id)
        return record.outcome if record is not None and record.state in _DONE else None

    def outcome(self, run_id: str) -> Outcome | None:
        """What a run has come to, failed ones included."""
        record = self._records.get(run_id)
        return record.outcome if record is not None else None

    def finished(self) -> list[tuple[Run, Outcome]]:
        """All that need not be trained again."""
        done = [(r.run, r.outcome) for r in self.records() if r.state in _DONE]
        return [(run, outcome) for run, outcome in done if outcome is not None]

    def lost(self) -> set[str]:
        """Ids of the runs that were begun, and of which nothing can be read."""
        folders = self._files.runs.iterdir() if self._files.runs.is_dir() else ()
        names = {path.name for path in folders if not path.name.startswith(".") and path.is_dir()}
        return names - self._records.keys()

    def add(self, run: Run) -> None:
        """Take up a run."""
        self._records[run.id] = Record(run)

    def handle(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, Started):
            self.change(event.run_id, state=RunState.RUNNING, worker=event.worker, evaluations=())
        elif isinstance(event, Evaluated):
            rungs = (*self._records[event.run_id].evaluations, event.evaluation)
            self.change(event.run_id, evaluations=rungs)
        elif isinstance(event, Paused | PutBack):
            self.change(event.run_id, state=RunState.QUEUED)
        elif isinstance(event, Finished):
            self.change(event.run_id, state=event.outcome.state, outcome=event.outcome)
            files = self._files.run(event.run_id)
            write_record(files, self._records[event.run_id], self._versions)
            # One that was cut while it was paused has left it.
            files.remove_checkpoint()

    def change(self, run_id: str, **changes: Any) -> None:
        """Replace what is known of a run."""
        self._records[run_id] = dataclasses.replace(self._records[run_id], **changes)

    def put_back(self) -> None:
        """Unfinished runs wait again."""
        for run_id, record in self._records.items():
            if not record.state.is_finished():
                self.change(run_id, state=RunState.QUEUED)


def read_records(files: StudyFiles) -> list[Record]:
    """Of all runs that have ended, in the order of the trials; a record that has come into the
    folder of another run counts as none."""
    own = []
    for path in files.runs.glob("*/run.json"):
        record = read_record(RunFiles(path.parent))
        if record is not None and record.run.id == path.parent.name:
            own.append(record)
        elif record is not None:
            logger.warning("%s is the record of %s; it is left out.", path, record.run.id)
    return in_order(own)


def in_order(records: Iterable[Record]) -> list[Record]:
    """Of the trials."""
    return sorted(records, key=lambda r: (r.run.trial, r.run.recipe.seed))
