"""Workers: how many runs train at the same time, on what, with how many threads."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from sweep.config.executor_settings import ExecutorSettings
from sweep.core.words import counted
from sweep.execute.cores import physical_cores
from sweep.train.devices import num_gpus
from sweep.train.memory import memory_for_workers


@dataclass(frozen=True)
class Workers:
    """What trains at the same time; found out once, then it travels.

    Args:
        count: Packs that train at the same time.
        threads: Of torch's pool in each worker.
        gpus: That the sweep trains on; 0 means the CPU.
        cores: Physical ones that we may use.
        in_process: Whether it is the driver that trains.
        pack_size: Most runs of a pack, as set; None leaves it open.
        max_memory_gb: That all may take together, or on each GPU, as set; None takes what there is.
        afar: How workers of an engine are got, of other machines in general; None does without.
    """

    count: int
    threads: int
    gpus: int
    cores: tuple[int, ...]
    in_process: bool = False
    pack_size: int | None = None
    max_memory_gb: float | None = None
    afar: ExecutorSettings | None = None

    @classmethod
    def of(cls, executor: ExecutorSettings, *, use_cpu: bool) -> Workers:
        """As set; else one per GPU, else one per core, with the cores shared out.

        Args:
            use_cpu: `trainer.use_cpu`: leave the GPUs to others.
        """
        gpus, cores = num_gpus(use_cpu=use_cpu), tuple(physical_cores())
        in_process = executor.kind == "in_process"
        here = 1 if in_process or executor.is_afar else gpus or len(cores)
        count = 1 if in_process else executor.workers or here
        usual = torch.get_num_threads() if in_process else max(1, len(cores) // count)
        return cls(
            count=count,
            threads=executor.threads or usual,
            gpus=gpus,
            cores=cores,
            in_process=in_process,
            pack_size=executor.pack_size,
            max_memory_gb=executor.max_memory_gb,
            afar=executor if executor.is_afar or executor.kind == "ray" else None,
        )

    @property
    def crowd(self) -> str | None:
        """A line for the user where threads outnumber the cores: each waits for one by spinning."""
        asked = self.threads * self.count
        if self.gpus or self.afar is not None or asked <= len(self.cores):
            return None
        return (
            f"{counted(asked, 'thread')} on {counted(len(self.cores), 'core')}: training crawls; "
            f"set executor.threads={max(1, len(self.cores) // self.count)}, fewer executor.workers,"
            " or unset OMP_NUM_THREADS"
        )

    @property
    def num_scorers(self) -> int:
        """Processes that score pairs side by side, once the workers have left; they share a GPU."""
        if self.afar is not None:
            return 1 if self.gpus else len(self.cores)
        return 1 if self.gpus else self.count

    @property
    def memory_mb(self) -> float | None:
        """That each may take at most; None where nobody knows."""
        # Of another machine nobody does; one like this is taken, and has it for a worker alone.
        sharing = 1 if self.afar is not None and self.afar.is_afar else self.count
        return memory_for_workers(sharing, on_gpu=self.gpus > 0, most_gb=self.max_memory_gb)

    @property
    def pinned_cores(self) -> tuple[int, ...]:
        """A core for each worker, where all are taken.

        Two sweeps that each take half of a machine would choose the same half.
        """
        on_cores = not self.gpus and self.afar is None
        one_each = on_cores and self.threads == 1 and self.count == len(self.cores)
        return self.cores if one_each and hasattr(os, "sched_setaffinity") else ()
