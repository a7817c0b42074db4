"""How many runs train at the same time, on how many threads each."""

from __future__ import annotations

from sweep.execute.cores import physical_cores
from sweep.settings import Executor, Settings


def num_workers(settings: Settings) -> int:
    """Runs that train at the same time, packs apart."""
    return 1 if settings.executor.kind == "in_process" else asked_workers(settings.executor)


def num_threads(settings: Settings) -> int:
    """Of torch's pool in each worker."""
    import torch

    if settings.executor.kind == "in_process":
        return settings.executor.threads or torch.get_num_threads()
    return threads_of_each(settings.executor)


def asked_workers(settings: Executor) -> int:
    """Worker processes: as set, else one per GPU, else one per core."""
    import torch

    return settings.workers or torch.cuda.device_count() or len(physical_cores())


def threads_of_each(settings: Executor) -> int:
    """Of each worker process: as set, else the cores shared out."""
    return settings.threads or max(1, len(physical_cores()) // asked_workers(settings))
