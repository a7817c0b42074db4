"""A process that has imported what sweeps need, and forks one `python -m sweep` after another.

To import torch, transformers and PEFT takes ten times as long as a tiny sweep, in the driver and
once more in the server of its workers. All else is as in a process that a shell has started: a
session, streams, variables, a folder, signals and an end of its own.
"""

from __future__ import annotations

import gc
import io
import json
import multiprocessing.forkserver
import os
import runpy
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker, util
from typing import Any

#: What the command line imports itself once it knows what it is asked for.
IMPORTS = (
    "sweep.commands.compare",
    "sweep.commands.live",
    "sweep.commands.plan",
    "sweep.commands.run",
    "sweep.export.exported",
    "sweep.export.scoring",
    "sweep.train.first_step",
    "sweep.train.runs",
)


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a shell would start it.

    Args:
        files: The descriptors that become standard input, output and error; None is a closed one.
        terminal: They are one terminal, whose hangup reaches the process.
        ignored: Signals that are ignored from the start.
    """

    arguments: Sequence[str]
    folder: str
    variables: dict[str, str]
    files: tuple[int | None, ...]
    terminal: bool
    ignored: Sequence[int]


def serve(door: socket.socket) -> Start:
    """Fork a process for everyone who asks; only there it returns, with what to start."""
    while True:
        message, received, *_ = socket.recv_fds(door, 1, 5)
        if not message:
            sys.exit()
        if os.fork() == 0:
            door.close()
            return _in_a_child(*received)
        for file in received:
            os.close(file)
        while os.waitpid(-1, os.WNOHANG)[0]:  # There is one at least.
            pass


def _in_a_child(request: int, status: int, *files: int) -> Start:
    """Fork once more; tell on `status` the id of that process, and in the end how it went."""
    with os.fdopen(request, encoding="utf-8") as file:
        asked = json.load(file)
    process = os.fork()
    if process:
        for descriptor in files:
            os.close(descriptor)
        os.write(status, f"{process}\n".encode())
        _, code = os.waitpid(process, 0)
        os.write(status, f"{os.waitstatus_to_exitcode(code)}\n".encode())
        os._exit(0)
    os.close(status)
    given = iter(files)
    places = tuple(next(given) if is_open else None for is_open in asked.pop("open"))
    return Start(files=places, **asked)


def become(start: Start) -> None:
    """Make this process what a shell would have started."""
    _take_files(start)
    for number in start.ignored:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.variables)
    for place, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _stream(place)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.path[0] = start.folder
    sys.argv = ["sweep", *start.arguments]
    util.spawnv_passfds = _forking_the_server(util.spawnv_passfds)


def _take_files(start: Start) -> None:
    if start.terminal:
        terminal, *same = [file for file in start.files if file is not None]
        for file in same:
            os.close(file)
        os.login_tty(terminal)
        return
    os.setsid()
    for place, file in enumerate(start.files):
        if file is None:
            os.close(place)
        else:
            os.dup2(file, place)
    for file in filter(None, start.files):
        os.close(file)


def _stream(place: int) -> io.TextIOWrapper | None:
    """As Python opens it."""
    try:
        os.fstat(place)
    except OSError:
        return None
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    return open(
        place,
        "w" if place else "r",
        buffering=1 if place == 2 or os.isatty(place) else -1,
        encoding=encoding or "utf-8",
        errors=errors or ("backslashreplace" if place == 2 else "strict"),
        closefd=False,
    )


def _forking_the_server(start: Callable[..., int]) -> Callable[..., int]:
    """Have the server of worker processes forked as well; what else is started, as always."""

    def started(path: str, arguments: Sequence[str], files: Sequence[int]) -> int:
        if "multiprocessing.forkserver" not in str(arguments[-1]):
            return start(path, arguments, files)
        process = os.fork()
        if process == 0:
            try:
                _as_after_exec(files)
                exec(arguments[-1], {})
            finally:
                os._exit(0)
        return process

    return started


def _as_after_exec(files: Sequence[int]) -> None:
    """Keep what a new program keeps: these files, and which signals are ignored or blocked."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    kept = sorted({0, 1, 2, *files})
    for low, high in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low + 1, high)
    for state in (multiprocessing.forkserver._forkserver, resource_tracker._resource_tracker):
        again: Any = state
        again.__init__()


def main() -> None:
    """Serve whoever has the other end of the socket that is given as the only argument."""
    from sweep.core.streams import prepare_streams

    # As `sweep.__main__` begins: libraries keep the streams that they find.
    prepare_streams()
    gc.set_threshold(100_000, 20, 20)
    for name in IMPORTS:
        __import__(name)
    gc.freeze()
    become(serve(socket.socket(fileno=int(sys.argv[1]))))
    runpy.run_module("sweep", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
