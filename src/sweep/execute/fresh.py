"""A function called in a process of its own, where nothing of this one can help."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar, cast

from sweep.execute.children import (
    cause_of_death,
    start_child,
    tell_to_leave,
    wait_for_end,
    warm_up,
)
from sweep.execute.worker import die_with_parent, obey_the_driver, print_to

T = TypeVar("T")

#: What `in_fresh_process` waits for, in any thread.
_FRESH: set[BaseProcess] = set()


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """What a function returns in a new process, which has imported modules and done nothing else.

    Args:
        function: Importable; its result and its exceptions are pickled.

    Raises:
        ChildProcessError: the process died.
        Exception: what the function raised.
    """
    return in_fresh_processes(function, [arguments])[0]


def in_fresh_processes(function: Callable[..., T], calls: Sequence[Sequence[object]]) -> list[T]:
    """What a function returns for each of these arguments, each in a new process, side by side.

    Raises:
        ChildProcessError, Exception: as `in_fresh_process`, of the first call that failed; the
            others are ended.
    """
    warm_up(function.__module__)
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        for arguments in calls:
            started.append(_start_fresh(function, arguments))
        return [cast(T, _awaited(process, line)) for process, line in started]
    except BaseException:
        for process, _ in started:
            tell_to_leave(process)
        raise
    finally:
        wait_for_end([process for process, _ in started])
        for process, line in started:
            _FRESH.discard(process)
            line.close()


def _start_fresh(
    function: Callable[..., Any], arguments: Sequence[object]
) -> tuple[BaseProcess, Connection]:
    here, there = Pipe()
    process = start_child(_answer, there, function, arguments)
    _FRESH.add(process)
    there.close()
    return process, here


def _awaited(process: BaseProcess, line: Connection) -> Any:
    try:
        answer = line.recv()
    # A plain OSError where it was killed in the middle of a message.
    except (EOFError, OSError):
        process.join()
        raise ChildProcessError(cause_of_death(process.exitcode)) from None
    process.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def end_fresh_processes() -> None:
    """End everything that `in_fresh_process` waits for: there it raises `ChildProcessError`.

    A thread that waits hears no signal, and whoever waits for the thread would not either.
    """
    for process in list(_FRESH):
        tell_to_leave(process)


def _answer(connection: Connection, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    # What libraries have to say would stand between the lines of the driver.
    print_to(Path(os.devnull))
    obey_the_driver()
    die_with_parent()
    try:
        answer = function(*arguments)
    except Exception as error:
        answer = error
    try:
        connection.send(answer)
    except (TypeError, AttributeError, pickle.PicklingError):
        connection.send(RuntimeError(str(answer)))
