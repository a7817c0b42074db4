"""Workers as jobs of Slurm: started through submitit, looked at with squeue, ended with scancel."""

from __future__ import annotations

import getpass
import math
import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.core.errors import ConfigError, SweepError
from sweep.core.optional import trouble_with

#: Seconds between two looks at the queue, and the most between two starts that came to nothing.
_LOOK, _MOST_WAIT = 10.0, 600.0
#: Starts in a row without one worker that has come.
_MOST_FRUITLESS = 4
#: Names the cluster that commands speak to.
_CONF = "SLURM_CONF"
#: What squeue says of jobs that will work, or do; one that is put back seems to end at first.
_LIVING = {
    *("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING", "SIGNALING"),
    "COMPLETING",
}


@dataclass(frozen=True)
class JobTerms:
    """What a job asks Slurm for.

    Args:
        minutes: That it may run.
        warned_s: Seconds before its end at which it is warned.
        options: Of sbatch, long ones.
    """

    name: str
    minutes: int
    warned_s: float
    partition: str | None = None
    cpus: int = 1
    options: tuple[str, ...] = ()

    @property
    def for_submitit(self) -> dict[str, Any]:
        """Parameters of its executor; it takes sbatch's own names beside them."""
        own: dict[str, Any] = {
            "job_name": self.name,
            "time": self.minutes,
            "signal_delay_s": math.ceil(self.warned_s),
            "cpus_per_task": self.cpus,
            "stderr_to_stdout": True,
        }
        if self.partition is not None:
            own["partition"] = self.partition
        further: dict[str, Any] = {}
        for option in self.options:
            key, equals, value = option.removeprefix("--").partition("=")
            further[key] = value if equals else True
        return {**own, "additional_parameters": further} if further else own


def minutes_of(text: str) -> int:
    """Minutes of a time as sbatch takes it: `90`, `04:00:00`, `30:00`, `1-12`, `1-12:30`.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", str(text).strip())
    if match is None:
        raise ConfigError(
            "`executor.time` must be a time as sbatch takes it.",
            value=f"`{text}`",
            way_out="04:00:00, 1-12:00:00, or minutes: executor.time=240",
        )
    days, *parts = (None if part is None else int(part) for part in match.groups())
    first, second, third = (part or 0 for part in parts)
    if days is not None:
        return math.ceil(days * 1440 + first * 60 + second + third / 60)
    if match[4] is not None:
        return math.ceil(first * 60 + second + third / 60)
    return max(1, math.ceil(first + second / 60))


def submit(jobs: Sequence[Callable[[], object]], terms: JobTerms, folder: Path) -> list[str]:
    """Start jobs, several as one array; returns their ids.

    Args:
        folder: On a disk that the nodes share, nobody else's: submitit keeps pickles there.

    Raises:
        ConfigError: submitit is not installed.
        SweepError: Slurm refuses.
    """
    refuse_without_slurm()
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError
    from submitit.helpers import clean_env

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    executor = SlurmExecutor(folder, max_num_timeout=1000)
    try:
        executor.update_parameters(**terms.for_submitit)
        conf = os.environ.get(_CONF)
        # A driver that is a job itself would hand its own job's variables on.
        with clean_env():
            if conf is not None:  # Which cluster it is, and no variable of a job.
                os.environ[_CONF] = conf
            return [job.job_id for job in executor.submit_array(jobs)]
    except (FailedJobError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        raise SweepError(f"Slurm has not taken the jobs: {said[-1] if said else error}") from None


def refuse_without_slurm() -> None:
    """Raises ConfigError where jobs can't be started from here."""
    trouble = trouble_with("submitit")
    if trouble is not None:
        raise ConfigError(
            "`executor=slurm` needs the package `submitit`.",
            value=f"submitit {trouble}",
            way_out='`pip install "sweep[slurm]"`, or `executor=folder` and workers by hand',
        )


class SlurmJobs:
    """Keeps as many jobs in the queue as there are workers wanted.

    Jobs are known by their name, which is the study's: a driver that comes back finds those that an
    earlier one has started.

    Args:
        job: What each does.
        folder: For submitit.
    """

    def __init__(self, job: Callable[[], object], terms: JobTerms, folder: Path) -> None:
        refuse_without_slurm()
        self._job, self._terms, self._folder = job, terms, folder
        self._next_look = self._next_start = 0.0
        self._wait, self._fruitless = _LOOK, 0
        self._said: str | None = None

    def look_after(self, *, wanted: int, present: int) -> str | None:
        """Start what is missing; says how the jobs are, in words.

        Raises:
            SweepError: jobs end again and again before a worker has come.
        """
        now = time.monotonic()
        if present:
            self._wait, self._fruitless = _LOOK, 0
        if now < self._next_look:
            return self._said
        self._next_look = now + _LOOK
        jobs = jobs_named(self._terms.name)
        if jobs is None:
            return self._said
        if len(jobs) < wanted and now >= self._next_start:
            self._start(wanted - len(jobs), now)
            jobs = jobs_named(self._terms.name) or jobs
        self._said = _in_words(jobs)
        return self._said

    def send_home(self) -> None:
        """Cancel them all; a worker answers that by saving its runs."""
        command = ["scancel", f"--user={getpass.getuser()}", f"--name={self._terms.name}"]
        _output_of(command)

    def _start(self, count: int, now: float) -> None:
        if self._fruitless >= _MOST_FRUITLESS:
            raise SweepError(
                f"Jobs of Slurm end before a worker has come, {self._fruitless} times in a row. "
                f"What they said is in {self._folder}."
            )
        submit([self._job] * count, self._terms, self._folder)
        self._fruitless += 1
        self._wait = min(_MOST_WAIT, 2 * self._wait)
        self._next_start = now + self._wait


@dataclass(frozen=True)
class Job:
    """A line of the queue."""

    id: str
    state: str
    #: Where it runs, or why it waits.
    place: str


def jobs_named(name: str) -> list[Job] | None:
    """Our jobs of this name that work or will work; None where Slurm does not answer."""
    text = _output_of(
        [
            *("squeue", "--noheader", "--array", f"--user={getpass.getuser()}"),
            *(f"--name={name}", "--format=%i|%T|%R"),
        ]
    )
    if text is None:
        return None
    parts = [line.strip().split("|", 2) for line in text.splitlines()]
    found = [Job(*part) for part in parts if len(part) == 3]
    return [job for job in found if job.state in _LIVING]


def _in_words(jobs: Sequence[Job]) -> str:
    running = [job.place for job in jobs if job.state == "RUNNING"]
    others = [f"{job.state.lower()} {job.place}" for job in jobs if job.state != "RUNNING"]
    here = [f"{len(running)} running on {', '.join(sorted(set(running)))}"] if running else []
    waiting = [f"{others.count(text)} {text}" for text in dict.fromkeys(others)]
    return "; ".join([*here, *waiting]) or "none"


def _output_of(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
