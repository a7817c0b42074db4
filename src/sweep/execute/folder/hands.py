"""What trains for a worker: a process of its own, so that the worker can speak while it trains."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from sweep.execute.children import cause_of_death, start_child, tell_to_leave, wait_for_end
from sweep.execute.worker import serve
from sweep.loop.ports import Pack, TrainFn
from sweep.loop.trial import Event


class HandsDied(Exception):
    """What trained has ended by itself; the message says how."""


class Hands(Protocol):
    """Trains one pack after the other."""

    def train(self, pack: Pack) -> None:
        """Begin; returns at once."""

    def events(self, seconds: float) -> list[Event]:
        """What has happened; waits at most so long for something.

        Raises:
            HandsDied: nothing more will happen.
        """

    def end(self) -> None:
        """Also in the middle of a training."""


#: Makes what trains: the worker's name, where its runs lie, how many threads it has.
Hire = Callable[[str, Path, int], Hands]


class ChildProcess:
    """`Hands` that are a child of this process.

    Args:
        device: What `CUDA_VISIBLE_DEVICES` is there.
    """

    def __init__(
        self, train: TrainFn, name: str, runs_dir: Path, *, log: Path, threads: int, device: str
    ) -> None:
        here, there = Pipe()
        variables = {"CUDA_VISIBLE_DEVICES": device}
        self._line: Connection = here
        self._process = start_child(
            serve,
            there,
            train,
            name=name,
            runs_dir=runs_dir,
            log=log,
            threads=threads,
            variables=variables,
        )
        there.close()

    def train(self, pack: Pack) -> None:
        try:
            self._line.send(pack)
        except OSError:
            raise HandsDied(self._cause()) from None

    def events(self, seconds: float) -> list[Event]:
        found: list[Event] = []
        try:
            while self._line.poll(0 if found else seconds):
                found.append(self._line.recv())
        # A plain OSError where it was killed in the middle of a message.
        except (EOFError, OSError):
            if not found:
                raise HandsDied(self._cause()) from None
        return found

    def end(self) -> None:
        self._line.close()
        tell_to_leave(self._process)
        wait_for_end([self._process])

    def _cause(self) -> str:
        self._process.join()
        return cause_of_death(self._process.exitcode)
