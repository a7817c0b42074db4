"""What fresh processes are asked for: children import nothing else of a test."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sweep.core.errors import RunFailed
from trainings import die_after


def blocked_signals() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def name_or_raise(name: str | None) -> str:
    if name is None:
        raise RunFailed("no name")
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "die while answering":
        die_after(10)
    return f"{name} {os.getpid()}"


def answer_late(name: str | None, seconds: float) -> str:
    time.sleep(seconds)
    return name_or_raise(name)


def sleep_in_a_folder(note: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        note.write_text(folder, encoding="utf-8")
        time.sleep(60)
        note.write_text("slept well", encoding="utf-8")


def fail_after(note: Path) -> None:
    wait_until(lambda: note.exists() and note.stat().st_size > 0)
    raise RunFailed("no name")


def call(function: Callable[[Path], None], note: Path) -> None:
    function(note)


def note_and_sleep(note: Path) -> None:
    note.write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(120)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
