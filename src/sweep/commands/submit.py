"""`submit`: the driver of a sweep as a job of its own, which goes on where it was put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweep.commands.afar import DriverJob, job_folder, job_terms, name_of
from sweep.config.schema import Settings
from sweep.core.commands import command
from sweep.core.errors import ConfigError, StudyError
from sweep.execute.slurm import jobs_named, submit

#: Of sbatch's options, those that say where a job belongs; the others are for who trains.
_OF_ALL = ("--account", "--qos", "--constraint", "--reservation", "--exclude=", "--comment")


def submit_sweep(settings: Settings, argv: Sequence[str]) -> list[str]:
    """Queue the command line as a job; returns what to tell.

    Raises:
        ConfigError: `executor.time` is not set, or submitit is missing.
        StudyError: such a job is queued already.
    """
    executor = settings.executor
    if executor.time is None:
        raise ConfigError(
            "A job needs to know how long it may run.",
            way_out="executor=slurm, or executor.time=04:00:00",
        )
    if executor.kind == "slurm":
        of_all = tuple(option for option in executor.sbatch if option.startswith(_OF_ALL))
        executor = replace(executor, sbatch=of_all, threads=1)
    name = f"sweep-driver-{name_of(settings.folder)}"
    if jobs := jobs_named(name):
        raise StudyError(
            "A study has one driver at a time.",
            value=f"job {jobs[0].id} drives {settings.folder} or will ({jobs[0].state.lower()})",
            way_out=f"`scancel {jobs[0].id}` ends it in order",
        )
    terms, folder = job_terms(executor, name), job_folder(name)
    (job,) = submit([DriverJob(("run", *argv))], terms, folder)
    return [
        f"job    {job} drives {settings.folder}",
        f"log    {folder / f'{job}_0_log.out'}",
        f"look   {command('status', settings.folder)}",
        f"stop   scancel {job}",
    ]
