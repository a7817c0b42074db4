"""The one place where an exception becomes an outcome."""

from __future__ import annotations

import shutil
import traceback
from dataclasses import replace
from pathlib import Path

from sweep.core.errors import RunFailed, UserMistake
from sweep.core.secrets import without_secrets
from sweep.core.visible import visible
from sweep.loop.ports import Handle, Pack, TrainFn
from sweep.loop.trial import Event, Finished, Outcome, Paused, RunState, Started
from sweep.study.notes import forget_to_stop


class Boundary:
    """Trains packs and lets no exception out.

    A pack that does not fit into memory is trained in halves, and later packs are cut to what
    did fit. One that fails otherwise is trained run by run: one bad setting costs one run.

    Args:
        train: Trains a pack.
        runs_dir: Holds a folder per run.
        worker: Name of this worker, for the table.
    """

    def __init__(self, train: TrainFn, *, runs_dir: Path, worker: str) -> None:
        self._train = train
        self._runs_dir = runs_dir
        self._worker = worker
        self._most: int | None = None

    def attempt(self, pack: Pack, handle: Handle) -> None:
        """Report `Started`, what the training reports, and one `Finished` or `Paused`, a run."""
        for run in pack:
            # Of an earlier attempt. One that comes while a pack breaks holds for its retry.
            forget_to_stop(self._runs_dir / run.id)
        waiting = [pack]
        while waiting:
            runs = waiting.pop(0)
            size = self._most or len(runs)
            waiting[:0] = [runs[i : i + size] for i in range(size, len(runs), size)]
            waiting[:0] = self._attempt(runs[:size], handle)

    def _attempt(self, runs: Pack, handle: Handle) -> list[Pack]:
        """Packs to train instead, where this one was too large or one of its runs failed it."""
        open_runs = {run.id: run for run in runs}

        def listen(event: Event) -> None:
            if isinstance(event, Finished | Paused):
                del open_runs[event.run_id]
                event = replace(event, outcome=replace(event.outcome, worker=self._worker))
            handle(event)

        for run in runs:
            folder = self._runs_dir / run.id
            folder.mkdir(parents=True, exist_ok=True)
            clear_leftovers(folder)
            handle(Started(run.id, self._worker))
        try:
            self._train(runs, self._runs_dir, listen)
        except Exception as error:
            # Only text of it is kept: a kept traceback object would keep the model alive.
            if _out_of_memory(error) and len(open_runs) > 1:
                self._most = len(runs) // 2
                return [tuple(open_runs.values())]
            if not _out_of_memory(error) and len(runs) > 1:
                return [(run,) for run in open_runs.values()]
            outcome = Outcome(
                RunState.FAILED,
                reason=without_secrets(visible(_reason(error))),
                error=without_secrets(traceback.format_exc()),
                recurs=not _may_pass(error),
            )
            for run_id in list(open_runs):
                listen(Finished(run_id, outcome))
        return []


def _reason(error: Exception) -> str:
    """One line for the table."""
    if isinstance(error, RunFailed):
        return str(error)
    if isinstance(error, UserMistake):
        return " ".join(str(error).split())
    if _out_of_memory(error):
        return "out of memory; try a smaller trainer.per_device_train_batch_size"
    first = str(error).strip().splitlines()[:1]
    return ": ".join([type(error).__name__, *first])


def _may_pass(error: Exception) -> bool:
    """Whether it is of the machine, as it was at that time, and not of the training."""
    of_the_machine = isinstance(error, OSError | EOFError) or "CUDA error" in str(error)
    return of_the_machine or _out_of_memory(error)


def _out_of_memory(error: Exception) -> bool:
    # By name: the library that defines it need not be imported here.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def clear_leftovers(folder: Path) -> None:
    """Remove half-written files (hidden names) of an attempt that was killed."""
    for path in folder.glob(".*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
