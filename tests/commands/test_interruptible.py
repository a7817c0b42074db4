"""A signal ends a verb wherever the program is at that moment."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from sweep.commands.signals import Halt, interruptible
from sweep.core.errors import Interrupted

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


def in_the_open(send: Callable[[], None]) -> None:
    send()


def in_a_destructor(send: Callable[[], None]) -> None:
    class Dying:
        def __del__(self) -> None:
            send()

    Dying()


def in_a_callback(send: Callable[[], None]) -> None:
    class Watched:
        pass

    watched = Watched()
    kept = weakref.ref(watched, lambda _: send())
    del watched
    assert kept() is None


@pytest.mark.parametrize("place", [in_the_open, in_a_destructor, in_a_callback])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda s: s.name)
def test_signal_is_never_lost(
    number: signal.Signals, place: Callable[[Callable[[], None]], None]
) -> None:
    def send() -> None:
        os.kill(os.getpid(), number)
        # The handler runs within these.
        sum(range(1000))

    before = signal.getsignal(number)

    def under_way() -> None:
        with interruptible():
            place(send)
            time.sleep(0.2)

    with pytest.raises(Interrupted) as stopped:
        under_way()
    assert stopped.value.exit_code == 128 + number
    assert signal.getsignal(number) == before


def test_other_troubles_of_destructors_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty:
        def __del__(self) -> None:
            raise ValueError("as ever")

    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_type))
    with interruptible():
        Faulty()
    assert told == [ValueError]


def test_thread_that_can_hear_nothing_runs_a_verb_all_the_same() -> None:
    """As a program around the library, or a notebook's server, may do."""
    done: list[str] = []

    def work() -> None:
        with interruptible(), Halt(timeout_min=None, grace_s=1.0, say=print) as halt:
            done.append(halt().name)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["NO"]
