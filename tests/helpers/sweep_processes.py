"""Sweeps in processes of their own, and signals at a given moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from command_line import table

#: Processes of the test under way.
STARTED: list[subprocess.Popen[str]] = []


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    STARTED.append(process)
    return process


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process is None or process.poll() is None, process and process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def going_with_a_score(study: Path) -> bool:
    rows = table(study)
    return bool(rows.loc[rows["state"] == "running", "pearson_last"].notna().any())


def num_done(runs: Path) -> int:
    return len(list(runs.glob("*/run.json")))


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@contextmanager
def when(condition: Callable[[], bool], action: Callable[[], None]) -> Iterator[None]:
    """Do something, once, as soon as a condition holds, while the block runs."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            if condition():
                action()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
