"""`worker`: train what the driver of a study gives out, from any machine that shares its folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

from sweep.core.errors import StudyError
from sweep.execute.children import warm_up
from sweep.execute.folder.hands import ChildProcess, Hands, Hire
from sweep.execute.folder.worker import Leaving, Worker, device_of
from sweep.loop.ports import Handle, Pack, TrainFn
from sweep.study.files import StudyFiles

#: Minutes that a worker waits for a driver.
WAIT_MIN = 10.0


def train_late(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """As `train_pack`, which only the process that trains imports."""
    from sweep.train.runs import train_pack

    train_pack(pack, runs_dir, handle)


def work_for(
    study: Path, *, wait_min: float, stay: bool, threads: int, say: Callable[[str], None]
) -> int:
    """Work until the driver has nothing more to do; returns the exit code.

    Raises:
        StudyError: no driver came, or one of another version.
    """
    with Leaving().heard() as leaving:
        worker = worker_of(study, wait_min, say, leaving, stay=stay, threads=threads)
        say(f"waits for packs of {study}")
        if worker.run() is None and leaving.signal is None:
            raise StudyError(
                "A worker needs a driver.",
                value=f"none was there for {wait_min:g} min: {study}",
                way_out="start `python -m sweep ... executor=folder` with `name=` and "
                "`results_dir=` of that folder; `--wait MIN` waits longer",
            )
    return 0 if leaving.signal is None else 128 + leaving.signal


def worker_of(
    study: Path,
    wait_min: float,
    say: Callable[[str], None],
    leave: Callable[[], str | None],
    *,
    stay: bool = False,
    threads: int = 1,
    train: TrainFn = train_late,
) -> Worker:
    """A worker for the runs of a study, and for those of full fine-tuning behind its search."""
    _warm_up(train)
    files = StudyFiles(study.resolve())
    return Worker(
        [files, files.full],
        functools.partial(_hire, train),
        wait_s=60 * wait_min,
        say=say,
        leave=leave,
        stay=stay,
        threads=threads,
    )


def hired_in(place: StudyFiles, train: TrainFn = train_late) -> Hire:
    """What trains for an actor, whose folder is laid out as that of a study."""
    _warm_up(train)
    return _hire(train, place)


def _warm_up(train: TrainFn) -> None:
    """What trains is forked from a server that has imported all of it."""
    warm_up("sweep.train.runs" if train is train_late else train.__module__)


def _hire(train: TrainFn, place: StudyFiles) -> Hire:
    def hire(name: str, runs_dir: Path, threads: int) -> Hands:
        log, device = place.logs / f"{name}.log", device_of(os.environ)
        return ChildProcess(train, name, runs_dir, log=log, threads=threads, device=device)

    return hire
