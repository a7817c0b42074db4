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

from sweep.core.streams import print_into
from sweep.execute.boundary import Boundary
from sweep.execute.children import ASKS_TO_STOP, LEAVE_NOW
from sweep.loop.ports import TrainFn


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
    """What asks a process to stop may reach the whole group; the driver decides what it means."""
    for number in ASKS_TO_STOP:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(LEAVE_NOW, _leave)


def _leave(number: int, _: object) -> None:
    """As Python does: temporary files and semaphores would stay behind otherwise."""
    sys.exit(128 + number)


def print_to(log: Path) -> None:
    """Send what this process prints, libraries' C code included, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.is_symlink():  # in a folder that came from elsewhere: it is not written through
        log.unlink()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    print_into(descriptor)
    os.close(descriptor)


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
