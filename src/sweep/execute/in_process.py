"""Trains in the driver itself, one run after the other: for debugging and small machines."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from sweep.core.ports import Handle, TrainFn
from sweep.core.trial import Run
from sweep.execute.boundary import attempt


class InProcess:
    """An `Executor` without any process.

    Args:
        train: Trains one run.
        runs_dir: Holds a folder per run.
    """

    def __init__(self, train: TrainFn, *, runs_dir: Path) -> None:
        self._train = train
        self._runs_dir = runs_dir
        self._queue: deque[Run] = deque()

    @property
    def num_free(self) -> int:
        return 0 if self._queue else 1

    @property
    def num_open(self) -> int:
        return len(self._queue)

    def submit(self, run: Run) -> None:
        self._queue.append(run)

    def work(self, handle: Handle) -> None:
        """Train the next run to its end."""
        run = self._queue.popleft()
        attempt(self._train, run, self._runs_dir / run.id, handle, worker="driver")

    def close(self) -> None:
        self._queue.clear()
