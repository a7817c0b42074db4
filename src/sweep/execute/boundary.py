"""The one place where an exception becomes an outcome."""

from __future__ import annotations

import shutil
import traceback
from dataclasses import replace
from pathlib import Path

from sweep.core.errors import RunFailed, UserMistake
from sweep.core.ports import Handle, TrainFn
from sweep.core.trial import Finished, Outcome, Run, RunState, Started


def attempt(train: TrainFn, run: Run, folder: Path, handle: Handle, *, worker: str) -> None:
    """Train a run and report `Started`, what `train` reports, and exactly one `Finished`.

    Only text of an exception is kept: a kept traceback object would keep the model alive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(folder)
    handle(Started(run.id, worker))
    try:
        outcome = train(run, folder, handle)
    except Exception as error:
        outcome = Outcome(RunState.FAILED, reason=_reason(error), error=traceback.format_exc())
    handle(Finished(run.id, replace(outcome, worker=worker)))


def _reason(error: Exception) -> str:
    """One line for the table."""
    if isinstance(error, RunFailed):
        return str(error)
    if isinstance(error, UserMistake):
        return " ".join(str(error).split())
    # By name: the library that defines it need not be imported here.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; try a smaller trainer.per_device_train_batch_size"
    first = str(error).strip().splitlines()[:1]
    return ": ".join([type(error).__name__, *first])


def _clear_leftovers(folder: Path) -> None:
    """Remove half-written files (hidden names) of an attempt that was killed."""
    for path in folder.glob(".*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
