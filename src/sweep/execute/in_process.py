"""Trains in the driver itself, one pack after the other: for debugging and small machines."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from sweep.execute.boundary import Boundary
from sweep.loop.ports import Handle, Pack, TrainFn
from sweep.study.notes import ask_to_pause, ask_to_stop, forget_to_pause


class InProcess:
    """An `Executor` without any process.

    Args:
        train: Trains a pack.
        runs_dir: Holds a folder per run.
        pack_size: Most runs of a pack.
    """

    def __init__(self, train: TrainFn, *, runs_dir: Path, pack_size: int = 1) -> None:
        self._boundary = Boundary(train, runs_dir=runs_dir, worker="driver")
        self._runs_dir = runs_dir
        forget_to_pause(runs_dir)
        self._pack_size = pack_size
        self._queue: deque[Pack] = deque()

    @property
    def pack_size(self) -> int:
        return self._pack_size

    @property
    def num_free(self) -> int:
        return 0 if self._queue else 1

    @property
    def num_open(self) -> int:
        return len(self._queue)

    def submit(self, pack: Pack) -> None:
        self._queue.append(pack)

    def stop(self, run_id: str, reason: str) -> None:
        ask_to_stop(self._runs_dir / run_id, reason)

    def pause(self, *, at_step: bool = False) -> None:
        ask_to_pause(self._runs_dir, at_step=at_step)
        self._queue.clear()

    def work(self, handle: Handle) -> None:
        """Train the next pack to its end."""
        self._boundary.attempt(self._queue.popleft(), handle)

    def close(self) -> None:
        self._queue.clear()
