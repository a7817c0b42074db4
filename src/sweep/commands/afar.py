"""Executors whose workers may be on other machines, each made of its settings; jobs of Slurm."""

from __future__ import annotations

import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.commands.worker import WAIT_MIN, hired_in, train_late, worker_of
from sweep.config.executor_settings import ExecutorSettings
from sweep.core.fingerprint import fingerprint
from sweep.execute.folder.executor import Folder
from sweep.execute.folder.worker import Leaving
from sweep.execute.ray.cluster import refuse_unreachable, refuse_without_ray
from sweep.execute.ray.colleague import Share
from sweep.execute.ray.executor import OnRay
from sweep.execute.slurm import JobTerms, SlurmJobs, minutes_of, refuse_without_slurm
from sweep.loop.ports import Executor, TrainFn
from sweep.study.exchange import ExchangeFiles
from sweep.study.files import StudyFiles

if TYPE_CHECKING:
    # It imports torch, which a worker's own process does without.
    from sweep.budget.workers import Workers


def afar_executor(
    workers: Workers, settings: ExecutorSettings, files: StudyFiles, *, pack_size: int
) -> Executor:
    """The driver's side of it."""
    if settings.kind == "ray":
        return OnRay(
            files,
            hired_in,
            address=settings.address,
            workers=workers.count,
            share=share_of(workers, settings),
            pack_size=pack_size,
        )
    staff = None
    if settings.kind == "slurm":
        terms = job_terms(settings, f"sweep-{name_of(files.folder)}")
        job = WorkerJob(study_of(files), settings.threads or 1)
        staff = SlurmJobs(job, terms, job_folder(terms.name))
    return Folder(
        exchange=ExchangeFiles(files.exchange),
        runs_dir=files.runs,
        logs_dir=files.logs,
        workers=workers.count,
        pack_size=pack_size,
        lost_after_s=settings.lost_after_s,
        grace_s=settings.grace_s,
        threads=settings.threads,
        staff=staff,
    )


def refuse_without_engine(settings: ExecutorSettings) -> None:
    """Raises ConfigError where the package of an engine is missing, or nobody answers there."""
    if settings.kind == "slurm":
        refuse_without_slurm()
    if settings.kind == "ray":
        refuse_without_ray()
        refuse_unreachable(settings.address)


def share_of(workers: Workers, settings: ExecutorSettings) -> Share:
    """What an actor takes of its cluster."""
    gpus = settings.gpus
    if gpus is None:
        here = 1.0 if settings.is_afar else workers.gpus / workers.count
        gpus = min(1.0, here) if workers.gpus else 0.0
    threads = (settings.threads or 1) if settings.is_afar else workers.threads
    return Share(cpus=threads, gpus=gpus)


def study_of(files: StudyFiles) -> Path:
    """The study that a folder of runs belongs to: full fine-tuning lies within it."""
    parent = StudyFiles(files.folder.parent)
    return parent.folder if parent.full == files else files.folder


def name_of(folder: Path) -> str:
    """Of a study's jobs: nobody else's, and the same at every start of its driver."""
    plain = re.sub(r"[^0-9A-Za-z_.-]+", "-", folder.name).strip("-")[:40]
    return f"{plain or 'study'}-{fingerprint(str(folder.resolve()))}"


def job_terms(settings: ExecutorSettings, name: str) -> JobTerms:
    """What a worker's job asks for."""
    return JobTerms(
        name=name,
        minutes=minutes_of(str(settings.time)),
        warned_s=settings.grace_s,
        partition=settings.partition,
        cpus=settings.threads or 1,
        options=settings.sbatch,
    )


def job_folder(name: str) -> Path:
    """For submitit, whose jobs unpickle what lies there: the user's own, never a study's folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sweep" / "slurm" / name


class _Requeued:
    """A job that begins anew where it was: what it has done is in the study's folder."""

    def checkpoint(self, *_: Any) -> Any:
        """Called by submitit once the job has been warned."""
        from submitit.helpers import DelayedSubmission

        job: Any = self
        return DelayedSubmission(job)


@dataclass(frozen=True)
class WorkerJob(_Requeued):
    """A worker of this study."""

    study: Path
    threads: int
    train: TrainFn = train_late

    def __call__(self) -> None:
        requeue: Any = signal.getsignal(signal.SIGUSR2)
        with Leaving().heard() as leaving:
            worker_of(
                self.study, WAIT_MIN, say, leaving, threads=self.threads, train=self.train
            ).run()
        if leaving.signal == signal.SIGUSR2:
            requeue(signal.SIGUSR2, None)


@dataclass(frozen=True)
class DriverJob(_Requeued):
    """A whole command line."""

    argv: tuple[str, ...]

    def __call__(self) -> None:
        from sweep.commands.cli import run_command

        requeue: Any = signal.getsignal(signal.SIGUSR2)
        code = run_command(self.argv)
        if code == 128 + signal.SIGUSR2:
            requeue(signal.SIGUSR2, None)
        if code:
            sys.exit(code)


def say(line: str) -> None:
    print(line, flush=True)
