"""Ending a sweep early and in order: Ctrl-C, what schedulers and terminals send, the time limit."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from sweep.core.errors import Interrupted
from sweep.execute.children import ASKS_TO_STOP
from sweep.execute.fresh import end_fresh_processes
from sweep.loop.ports import Halting

#: Asked for at the keyboard: nobody kills the program soon.
_BY_HAND = {getattr(signal, name) for name in ("SIGINT", "SIGBREAK") if hasattr(signal, name)}
#: Of the time that is granted, the part that is used; of that, what saving in the middle of an
#: interval and closing may take, and the most of either in seconds.
_USED, _PART, _SAVE_SECONDS, _CLOSE_SECONDS = 0.95, 0.3, 10.0, 5.0
#: After which a signal comes again that was lost.
_AGAIN_SECONDS = 0.05
_SOON = "each run under way goes on to its next evaluation, is saved there and goes on later"


def heard() -> list[signal.Signals]:
    """Signals that ask to stop, without those that were ignored from the start (`nohup`).

    Ctrl-C and SIGTERM are heard all the same: shells start what is in the background without.
    Python lets the main thread alone hear: in another one, which a program around this may use,
    there are none.
    """
    if not _is_main_thread():
        return []
    always = {*_BY_HAND, signal.SIGTERM}
    return [s for s in ASKS_TO_STOP if s in always or signal.getsignal(s) != signal.SIG_IGN]


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and their like into `Interrupted` while a verb runs."""

    def stop(number: int, frame: FrameType | None) -> None:
        end_fresh_processes()
        raise Interrupted(128 + number)

    before: dict[int, Any] = {s: signal.signal(s, stop) for s in heard()}
    if before and hasattr(signal, "SIGALRM"):
        before[signal.SIGALRM] = signal.getsignal(signal.SIGALRM)
    try:
        with _never_lost():
            yield
    finally:
        _ring_in(0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _never_lost() -> Iterator[None]:
    """Let a signal come again whose exception Python has dropped.

    A handler runs wherever the program is. In a destructor or in a callback of C code, Python
    prints what is raised and goes on, and the sweep would as well.
    """
    told = sys.unraisablehook

    def hear_again(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, Interrupted):
            told(dropped)
            return
        number = dropped.exc_value.exit_code - 128
        # Not at once: this still is the place where exceptions are dropped.
        later = threading.Timer(_AGAIN_SECONDS, _thread.interrupt_main, [number])
        later.daemon = True
        later.start()

    sys.unraisablehook = hear_again
    try:
        yield
    finally:
        sys.unraisablehook = told


class Halt:
    """A context manager around a sweep, which asks by calling it whether to end, and where.

    The first Ctrl-C asks for it, the second raises `Interrupted`. Any other signal gives the runs
    the time that is granted: to their next evaluation; then they are to be saved where they are;
    then it raises `Interrupted`, and at last ends the process. Where it comes again, they are to be
    saved at once. The time limit asks for it without being an interruption.

    Args:
        timeout_min: Of this start, from the entry on; None is none.
        grace_s: Seconds between a signal and the end of the process.
        say: Shows the user a line.
    """

    def __init__(
        self, *, timeout_min: float | None, grace_s: float, say: Callable[[str], None]
    ) -> None:
        self._timeout_min = timeout_min
        self._grace_s = grace_s
        self._close_s = min(_PART * _USED * grace_s, _CLOSE_SECONDS)
        self._save_s = min(_PART * _USED * grace_s, _SAVE_SECONDS)
        self._say = say
        self._signal: int | None = None
        self._said = False
        self._wish = Halting.NO
        self._is_timed = False
        self._is_over = False
        self._began = self._ends_at = time.monotonic()
        self.timed_out = False

    def __enter__(self) -> Halt:
        self._before = {s: signal.signal(s, self._hear) for s in heard()}
        if self._before and hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, self._ring)
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """What closes behind the sweep has no more time than was granted: the clock runs on."""
        _ring_in(self._ends_at - time.monotonic() if self._is_timed else 0)
        self._is_over = True
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> Halting:
        minutes = (time.monotonic() - self._began) / 60
        if self._signal is None and self._timeout_min is not None:
            self.timed_out = self.timed_out or minutes >= self._timeout_min
        if self._wish is Halting.NO and self.timed_out:
            self._wish = Halting.AT_RUNG
        if self._wish is not Halting.NO and not self._said:
            self._said = True
            self._say(self._reason())
        return self._wish

    def _reason(self) -> str:
        if self._signal is None:
            return f"The time limit of {self._timeout_min:g} min is over: {_SOON}."
        if not self._is_timed:
            return f"Stopping: {_SOON}. Ctrl-C again stops at once."
        name = signal.Signals(self._signal).name
        return f"Stopping within {self._grace_s:g} s ({name}): {_SOON}, or where it is by then."

    def raise_if_interrupted(self) -> None:
        """Where a signal has ended the sweep.

        Raises:
            Interrupted: with its exit code.
        """
        if self._signal is not None:
            raise Interrupted(128 + self._signal)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        # Nothing is printed here: the signal may have come in the middle of printing.
        again, self._signal = self._signal is not None, number
        if number in _BY_HAND:
            if again:
                raise Interrupted(128 + number)
            self._wish = Halting.AT_RUNG
        elif self._is_timed:
            # Schedulers send several: a warning, then the end; to each step, then to the job.
            self._leave_where_they_are()
        else:
            self._is_timed, self._said = True, False
            self._ends_at = time.monotonic() + _USED * self._grace_s
            self._wish = max(self._wish, Halting.AT_RUNG)
            _ring_in(_USED * self._grace_s - self._save_s - self._close_s)

    def _leave_where_they_are(self) -> None:
        if self._wish < Halting.AT_STEP:
            self._wish = Halting.AT_STEP
            _ring_in(self._save_s)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        """The time for one thing is over; that for the next begins."""
        assert self._signal is not None
        if self._is_over:
            # What is done is in its records; children end with this process.
            with suppress(Exception):  # It may be printing right now.
                sys.stdout.flush()
            os._exit(128 + self._signal)
        if self._wish < Halting.AT_STEP:
            self._leave_where_they_are()
            return
        self._is_over = True
        _ring_in(self._close_s)
        raise Interrupted(128 + self._signal)


def _ring_in(seconds: float) -> None:
    """Where the system has such a clock; 0 switches it off, what is past rings at once."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001) if seconds else 0)
