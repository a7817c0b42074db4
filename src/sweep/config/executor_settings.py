"""Where runs are trained: the settings of `executor`."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import Literal

from sweep.core.errors import ConfigError
from sweep.study.keeping import Keep


@dataclass(frozen=True)
class ExecutorSettings:
    """Where runs are trained."""

    #: `auto`: worker processes; `in_process` trains in the driver, for debugging. `folder`: workers
    #: that somebody starts, on any machine that shares the disk; `slurm`: as jobs; `ray`: actors.
    kind: Literal["auto", "processes", "in_process", "folder", "slurm", "ray"] = "auto"
    #: Worker processes; None takes one per GPU, else one per CPU core. Of `folder` and `slurm`: how
    #: many are expected, 1 unless set; more are welcome. Of `ray` with an address: most actors, 1
    #: unless set.
    workers: int | None = None
    #: Threads per worker; None shares the cores out.
    threads: int | None = None
    #: Most runs that a worker trains together on one frozen base; None takes 32 on a GPU, else 4,
    #: or fewer where that could take more than half of the memory.
    pack_size: int | None = None
    #: GB that all workers may take together, or on each GPU; configs that are expected to take more
    #: are not trained. None takes what there is, and expects nothing.
    max_memory_gb: float | None = None
    #: Adapters that outlive their training: `all`, or those of the `best` config or of the best N
    #: (`top:50`), with the recommended one, the baseline, what is confirmed and a Pareto front.
    keep_adapters: str = "top:50"
    #: Seconds between a signal that ends the sweep (SIGTERM, SIGHUP, ...) and its end; the same for
    #: a worker of `folder` and `slurm`.
    grace_s: float = 10.0
    #: Of `folder` and `slurm`: seconds of silence after which a worker, or the driver, counts as
    #: lost. Disks that show files late need more.
    lost_after_s: float = 60.0
    #: Of `slurm`: where its jobs run, and how long each may (`04:00:00`, `1-00:00:00`, minutes).
    partition: str | None = None
    time: str | int | None = None
    #: Of `slurm`: other options of sbatch, long ones: `[--gres=gpu:1, --mem=16G]`.
    sbatch: tuple[str, ...] = ()
    #: Of `ray`: `host:port` of a cluster that runs, or `auto` for the one that this machine belongs
    #: to. None begins one of this machine alone, unless `RAY_ADDRESS` names another.
    address: str | None = None
    #: Of `ray`: GPUs of each actor, a part of one where several share it; None takes one where this
    #: machine has some, or what its workers have of them.
    gpus: float | None = None

    @property
    def keep(self) -> Keep:
        """What `keep_adapters` says."""
        return Keep.of(self.keep_adapters)

    @property
    def is_afar(self) -> bool:
        """Whether workers may be on other machines, of which this one knows nothing."""
        return self.kind in ("folder", "slurm") or (self.kind == "ray" and self.ray_is_afar)

    @property
    def ray_is_afar(self) -> bool:
        """Whether the cluster is one that runs already."""
        return (self.address or os.environ.get("RAY_ADDRESS") or "local") != "local"


def check_executor(executor: ExecutorSettings) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        ConfigError: names the key.
    """
    if not 1 <= executor.lost_after_s < math.inf:
        raise ConfigError(
            "`executor.lost_after_s` must be at least 1.",
            value=executor.lost_after_s,
            way_out="60 fits most shared disks",
        )
    if not 0 < executor.grace_s < math.inf:
        raise ConfigError(
            "`executor.grace_s` must be above 0.",
            value=executor.grace_s,
            way_out="10 fits where the program is killed 10 s after SIGTERM; under Slurm take what "
            "`--signal=USR1@90` leaves: executor.grace_s=90",
        )
    _check_jobs(executor)
    _check_actors(executor)
    _ = executor.keep
    for name in ("workers", "threads", "pack_size"):
        number = getattr(executor, name)
        if number is not None and number < 1:
            raise ConfigError(
                f"`executor.{name}` must be at least 1.",
                value=number,
                way_out=f"`executor.{name}=null` takes what the machine has",
            )
    if executor.max_memory_gb is not None and not executor.max_memory_gb > 0:
        raise ConfigError(
            "`executor.max_memory_gb` must be above 0.", value=f"{executor.max_memory_gb:g}"
        )


def _check_jobs(executor: ExecutorSettings) -> None:
    if wrong := [option for option in executor.sbatch if not re.match(r"--[a-z]", option)]:
        raise ConfigError(
            "`executor.sbatch` must list long options of sbatch.",
            value=f"`{wrong[0]}`",
            way_out="for example 'executor.sbatch=[--gres=gpu:1,--account=mine]'",
        )
    if executor.kind == "slurm" and executor.time is None:
        raise ConfigError(
            "`executor=slurm` needs to know how long a job may run.",
            way_out="executor.time=04:00:00; a job that has come to its end is queued again",
        )


def _check_actors(executor: ExecutorSettings) -> None:
    if executor.gpus is not None and not 0 <= executor.gpus < math.inf:
        raise ConfigError(
            "`executor.gpus` must be 0 or more.",
            value=executor.gpus,
            way_out="0.5 where two actors share a GPU, 0 for none",
        )
    if executor.address is not None and executor.address.startswith("ray://"):
        raise ConfigError(
            "`executor.address` must be that of the cluster itself, not of Ray's client server.",
            value=f"`{executor.address}`",
            way_out="run the driver on one of its machines, with executor.address=auto",
        )
