"""How child processes start, from a server that has imported what they need, and how they end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, get_all_start_methods, get_context, resource_tracker
from multiprocessing.process import BaseProcess
from threading import Lock
from typing import Any, Literal

_METHOD: Literal["forkserver", "spawn"] = (
    "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
)
#: What a terminal, a scheduler or a machine that goes down sends, often to the whole process group.
#: The driver decides what they mean; its children hear none of them.
ASKS_TO_STOP = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
    if hasattr(signal, name)
)
#: How a child is ended in the middle of its work: by what nobody else sends. Schedulers may be
#: asked for any signal that has a name; where there are no others, one that only timers send.
LEAVE_NOW: int = (
    signal.SIGRTMIN + 7
    if hasattr(signal, "SIGRTMIN")
    else getattr(signal, "SIGVTALRM", signal.SIGTERM)
)
_LEAVE_SECONDS = 4.0
#: What workers start with; libraries read it when they are loaded.
_VARIABLES = {
    # Whatever the code page of the driver's console.
    "PYTHONIOENCODING": "utf-8:backslashreplace",
    # Pools that numerical libraries open; a worker that may have more threads says so later.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Memory of one training step is kept for the next, in large pages: glibc would give it back
    # to the system and clear it anew, which costs a twentieth of the time. Others ignore these.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 26),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
#: Held while a child is started: the environment belongs to all threads.
_STARTING = Lock()


def warm_up(trainer: str) -> None:
    """Have the module `trainer` imported in the background, for the workers to come.

    Importing torch, transformers and PEFT takes seconds, which the driver needs as well.
    """
    if _METHOD == "forkserver":
        get_context(_METHOD).set_forkserver_preload([trainer])
        with _for_children():
            forkserver.ensure_running()


def start_child(target: Callable[..., object], *args: object, **kwargs: object) -> BaseProcess:
    """Run an importable function in a new process, which ends with this one."""
    context: Any = get_context(_METHOD)
    process: BaseProcess = context.Process(target=target, args=args, kwargs=kwargs, daemon=True)
    # A spawned interpreter reads its variables before any code of ours runs there.
    with _for_children():
        process.start()
    return process


def tell_to_leave(process: BaseProcess) -> None:
    """Have a child end in the middle of its work; its temporary files go with it."""
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, LEAVE_NOW)


def wait_for_end(processes: Iterable[BaseProcess]) -> None:
    """Until children have ended; after some seconds they are killed."""
    deadline = time.monotonic() + _LEAVE_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def cause_of_death(exit_code: int | None) -> str:
    """A few words about how a process ended."""
    if exit_code is not None and exit_code < 0:
        known = -exit_code in {*signal.Signals}
        name = signal.Signals(-exit_code).name if known else f"signal {-exit_code}"
        hint = ", often out of memory" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"
    return f"exit code {exit_code}"


@contextmanager
def _for_children() -> Iterator[None]:
    """Set what a child inherits: variables, and that it hears no signal until it can answer.

    Thread pools read their variables before any of our code runs there. Ctrl-C and, under Slurm,
    other signals reach the whole process group: a child that is still importing would die of them.
    """
    with _STARTING:
        before = {name: os.environ.get(name) for name in _VARIABLES}
        os.environ.update(_VARIABLES)
        heard = None
        if hasattr(signal, "pthread_sigmask"):
            heard = signal.pthread_sigmask(signal.SIG_BLOCK, ASKS_TO_STOP)
            # Python starts this helper along with the first child, and unblocks two afterwards.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, ASKS_TO_STOP)
        try:
            yield
        finally:
            if heard is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, heard)
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
