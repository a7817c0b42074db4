"""A worker process: waits for packs, trains them, sends events back. Touches nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import MappingProxyType

from sweep.execute.boundary import Boundary
from sweep.execute.children import LEAVE_NOW
from sweep.loop.ports import TrainFn

#: For how long a worker waits for the driver's word when the system asks the whole process group
#: to stop (Slurm, spot instances).
_GRACE_SECONDS = 9


def serve(
    connection: Connection,
    train: TrainFn,
    *,
    name: str,
    runs_dir: Path,
    log: Path,
    core: int | None = None,
    threads: int = 1,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Train what arrives until the driver hangs up. Everything printed goes to `log`.

    Args:
        core: CPU to stay on; None leaves it to the system.
        threads: Of torch's pool.
        variables: Environment that is this worker's own.
    """
    os.environ.update(variables)
    if threads > 1:
        import torch

        torch.set_num_threads(threads)
    if core is not None:
        os.sched_setaffinity(0, {core})
    obey_the_driver()
    print_to(log)
    die_with_parent()
    boundary = Boundary(train, runs_dir=runs_dir, worker=name)
    while True:
        try:
            pack = connection.recv()
        except EOFError:
            return
        print(*(f"== {run.id} {run.name}" for run in pack), sep="\n", flush=True)
        boundary.attempt(pack, connection.send)


def obey_the_driver() -> None:
    """Ctrl-C and SIGTERM may reach the whole process group; the driver decides what they mean."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        # Without the driver's word, it leaves in the end.
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE_SECONDS))
        signal.signal(signal.SIGALRM, _leave)
    signal.signal(LEAVE_NOW, _leave)
    _hear_signals_again()


def _leave(number: int, _: object) -> None:
    """As Python does: temporary files and semaphores would stay behind otherwise."""
    sys.exit(128 + number)


def _hear_signals_again() -> None:
    """Children are started with signals blocked; this one can answer SIGTERM by now."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def print_to(log: Path) -> None:
    """Send what this process prints, libraries' C code included, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(target, 1)
    os.dup2(target, 2)


def die_with_parent() -> None:
    """End at once when the driver is gone, also in the middle of a training.

    An orphan would go on writing into run folders that the next driver gives out again.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
