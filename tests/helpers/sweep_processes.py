"""Sweeps in processes of their own, and signals at a given moment."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import sweep_server
from command_line import table

#: Seconds after which something hangs; on a machine that others use all takes a multiple.
PATIENCE = 300.0
#: Processes of the test under way.
STARTED: list[SweepProcess | subprocess.Popen[str]] = []


class SweepProcess:
    """A `python -m sweep` with all that `subprocess.Popen` is used for here.

    Args:
        status: Tells the id of the process, and in the end its exit code, a line each.
        stdout, stderr: The ends of pipes that are to be read; None where it writes elsewhere.
    """

    def __init__(self, status: int, stdout: int | None, stderr: int | None) -> None:
        self._status = os.fdopen(status)
        self.stdout, self.stderr = (
            None if end is None else os.fdopen(end, errors="backslashreplace")
            for end in (stdout, stderr)
        )
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code.

        Raises:
            TimeoutExpired: the process goes on.
        """
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("sweep", timeout or 0)
        return code

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, str]:
        """What it has still printed, to its end; a process that goes on is killed."""
        with ThreadPoolExecutor(2) as pool:
            texts = [pool.submit(s.read if s else str) for s in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                raise
        return texts[0].result(), texts[1].result()

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], seconds)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode


def start(
    arguments: Sequence[str],
    folder: Path,
    *,
    variables: Mapping[str, str] = os.environ,
    files: tuple[int | None, int | None, int | None] | None = None,
    terminal: bool = False,
) -> SweepProcess:
    """Start one in a session of its own; its output is piped, where no `files` are given.

    Args:
        files: Standard input, output and error; None is a closed one.
        terminal: They are one terminal, and it is that of the process.
    """
    ends = [os.pipe(), os.pipe()] if files is None else []
    with Path(os.devnull).open() as nothing:
        places = files or (nothing.fileno(), *(write for _, write in ends))
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "variables": dict(variables),
            "open": [file is not None for file in places],
            "terminal": terminal,
            "ignored": [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN],
        }
        status = _ask(json.dumps(request), [file for file in places if file is not None])
    for _, write in ends:
        os.close(write)
    process = SweepProcess(status, *([read for read, _ in ends] or (None, None)))
    STARTED.append(process)
    return process


def start_python(arguments: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """The same with an interpreter of its own, which has nothing imported: takes seconds."""
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


def end_all() -> None:
    """Kill what a test has left behind, with its whole group: it would slow all that follow."""
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _ask(request: str, files: Sequence[int]) -> int:
    """Have the server start a process; returns what tells how it goes."""
    (what, told), (status, says) = os.pipe(), os.pipe()
    os.write(told, request.encode())  # Less than a pipe holds.
    os.close(told)
    socket.send_fds(_server(), [b"!"], [what, says, *files])
    os.close(what)
    os.close(says)
    return status


@functools.cache
def _server() -> socket.socket:
    """The door of the server of this process, which ends with it."""
    here, there = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, sweep_server.__file__, str(there.fileno())],
        pass_fds=[there.fileno()],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    there.close()

    @atexit.register
    def end() -> None:
        here.close()
        process.wait()

    return here


def wait_for(condition: Callable[[], bool], process: SweepProcess | subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
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
