"""All executors on trainings that cost nothing, and what came of them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path

from sweep.commands.afar import WorkerJob
from sweep.commands.worker import hired_in
from sweep.core.recipe import Lora, Recipe
from sweep.execute.folder.executor import Folder, Staff
from sweep.execute.folder.hands import ChildProcess, Hands, Hire
from sweep.execute.folder.worker import Worker
from sweep.execute.in_process import InProcess
from sweep.execute.processes import Processes
from sweep.execute.ray.executor import OnRay
from sweep.execute.slurm import JobTerms, SlurmJobs
from sweep.loop.ports import Executor, TrainFn
from sweep.loop.trial import Event, Finished, Outcome, Run
from sweep.study.exchange import ExchangeFiles
from sweep.study.files import StudyFiles

Open = Callable[[TrainFn, Path], Executor]


def open_in_process(train: TrainFn, folder: Path) -> Executor:
    return InProcess(train, runs_dir=folder / "runs")


def open_processes(train: TrainFn, folder: Path) -> Executor:
    return Processes(train, runs_dir=folder / "runs", logs_dir=folder / "logs", workers=2)


def children_for(train: TrainFn) -> Callable[[StudyFiles], Hire]:
    """As `python -m sweep worker` trains, with another training."""

    def of_place(place: StudyFiles) -> Hire:
        def hire(name: str, runs_dir: Path, threads: int) -> Hands:
            log = place.logs / f"{name}.log"
            return ChildProcess(train, name, runs_dir, log=log, threads=threads, device="")

        return hire

    return of_place


class ThreadStaff:
    """Workers as threads of this process; what they train with are processes all the same."""

    def __init__(self, study: Path, hire: Callable[[StudyFiles], Hire], *, most: int = 2) -> None:
        self._study, self._hire, self._most = study, hire, most
        self._threads: list[threading.Thread] = []
        self.leave = threading.Event()

    def look_after(self, *, wanted: int, present: int = 0) -> str | None:
        while len(self._threads) < min(wanted, self._most):
            self._threads.append(threading.Thread(target=self._work))
            self._threads[-1].start()
        return None

    def send_home(self) -> None:
        self.leave.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _work(self) -> None:
        places = [StudyFiles(self._study)]
        leave = lambda: "sent home" if self.leave.is_set() else None  # noqa: E731
        Worker(places, self._hire, wait_s=30, say=print, leave=leave).run()


def open_folder(train: TrainFn, folder: Path) -> Executor:
    return folder_with(ThreadStaff(folder, children_for(train)), folder)


def folder_with(
    staff: Staff | None, folder: Path, *, workers: int = 2, lost_after_s: float = 20.0
) -> Folder:
    files = StudyFiles(folder)
    return Folder(
        exchange=ExchangeFiles(files.exchange),
        runs_dir=files.runs,
        logs_dir=files.logs,
        workers=workers,
        lost_after_s=lost_after_s,
        grace_s=0.5,
        staff=staff,
    )


def open_slurm(train: TrainFn, folder: Path) -> Executor:
    """Two jobs of an array; the caller sees to it that there is a Slurm."""
    terms = JobTerms(name=f"sweep-{folder.name}", minutes=30, warned_s=15, options=("--requeue",))
    staff = SlurmJobs(WorkerJob(folder, 1, train), terms, folder / "submitit")
    return folder_with(staff, folder)


def open_ray(train: TrainFn, folder: Path) -> Executor:
    """Actors of the cluster that this process has joined."""
    return OnRay(StudyFiles(folder), functools.partial(hired_in, train=train), workers=2)


#: Every back end, for tests of what all of them promise.
OPEN = {
    "in_process": open_in_process,
    "processes": open_processes,
    "folder": open_folder,
    "slurm": open_slurm,
    "ray": open_ray,
}


def run_of(r: int) -> Run:
    return Run(0, {}, Recipe(lora=Lora(r=r)))


def drain(executor: Executor) -> list[Event]:
    events: list[Event] = []
    while executor.num_open:
        executor.work(events.append)
    return events


def outcomes(events: list[Event]) -> dict[str, Outcome]:
    finished = [e for e in events if isinstance(e, Finished)]
    assert len({e.run_id for e in finished}) == len(finished)
    return {e.run_id: e.outcome for e in finished}
