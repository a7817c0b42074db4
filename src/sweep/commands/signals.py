"""Ending a sweep early and in order: Ctrl-C, SIGTERM, the time limit."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from sweep.core.errors import Interrupted

#: Slurm and spot instances give 10 s and more between SIGTERM and SIGKILL: rungs are waited for as
#: long as leaves time to close, and closing may not take longer than that.
_RUNG_SECONDS, _CLOSE_SECONDS = 4.0, 5.0
_SOON = "each run under way goes on to its next evaluation, is saved there and goes on later"
_WHY = {
    signal.SIGINT: f"Stopping: {_SOON}. Ctrl-C again stops at once.",
    signal.SIGTERM: f"Stopping within 10 seconds: {_SOON}, where it takes no longer.",
}


class Halt:
    """A context manager around a sweep, which asks by calling it whether to end at the next rungs.

    The first Ctrl-C or SIGTERM asks for it; the second raises `Interrupted`, and so do seconds
    after a SIGTERM. The time limit asks for it without being an interruption.

    Args:
        timeout_min: Of this start, from the entry on; None is none.
        say: Shows the user a line.
    """

    def __init__(self, *, timeout_min: float | None, say: Callable[[str], None]) -> None:
        self._timeout_min = timeout_min
        self._say = say
        self._signal: int | None = None
        self._said = False
        self._hurried = False
        self._began = time.monotonic()
        self.timed_out = False

    def __enter__(self) -> Halt:
        self._before = {s: signal.signal(s, self._hear) for s in _WHY}
        if hasattr(signal, "SIGALRM"):
            self._before |= {signal.SIGALRM: signal.signal(signal.SIGALRM, self._hurry)}
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        minutes = (time.monotonic() - self._began) / 60
        if self._signal is None and self._timeout_min is not None:
            self.timed_out = self.timed_out or minutes >= self._timeout_min
        halted = self._signal is not None or self.timed_out
        if halted and not self._said:
            self._said = True
            self._say(self._reason())
        return halted

    def _reason(self) -> str:
        if self._signal is not None:
            return _WHY[signal.Signals(self._signal)]
        return f"The time limit of {self._timeout_min:g} min is over: {_SOON}."

    def raise_if_interrupted(self) -> None:
        """Where a signal has ended the sweep.

        Raises:
            Interrupted: with its exit code.
        """
        if self._signal is not None:
            raise Interrupted(128 + self._signal)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        # Nothing is printed here: the signal may have come in the middle of printing.
        again, self._signal, self._said = self._signal is not None, number, False
        if number == signal.SIGTERM and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, _RUNG_SECONDS, _CLOSE_SECONDS)
        if again:
            raise Interrupted(128 + number)

    def _hurry(self, number: int, frame: FrameType | None) -> None:
        """The time for rungs is over; then that for closing. What is done is in its records."""
        if self._hurried:
            sys.stdout.flush()
            os._exit(128 + signal.SIGTERM)
        self._hurried = True
        raise Interrupted(128 + signal.SIGTERM)
