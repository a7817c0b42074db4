"""How many runs train at the same time: workers, their threads, their packs."""

from __future__ import annotations

from sweep.config.schema import Settings
from sweep.execute.cores import physical_cores
from sweep.train.cost import most_activations
from sweep.train.devices import num_gpus
from sweep.train.memory import memory_for_workers

#: Runs in a pack unless told otherwise; a GPU's pack that does not fit is halved.
_GPU_PACK, _CPU_PACK = 32, 4
#: Packs at least that a sampler which learns from scores shares its trials out to.
_FEWEST_PACKS = 4


def num_workers(settings: Settings) -> int:
    """Runs that train at the same time, packs apart."""
    return 1 if settings.executor.kind == "in_process" else asked_workers(settings)


def num_scorers(settings: Settings) -> int:
    """Processes that score pairs side by side, once the workers have left; they share a GPU."""
    return 1 if gpus_of(settings) else num_workers(settings)


def num_threads(settings: Settings) -> int:
    """Of torch's pool in each worker."""
    import torch

    if settings.executor.kind == "in_process":
        return settings.executor.threads or torch.get_num_threads()
    return threads_of_each(settings)


def gpus_of(settings: Settings) -> int:
    """GPUs that the sweep trains on; 0 means the CPU."""
    return num_gpus(use_cpu=settings.trainer.use_cpu)


def asked_workers(settings: Settings) -> int:
    """Worker processes: as set, else one per GPU, else one per core."""
    return settings.executor.workers or gpus_of(settings) or len(physical_cores())


def threads_of_each(settings: Settings) -> int:
    """Of each worker process: as set, else the cores shared out."""
    return settings.executor.threads or max(1, len(physical_cores()) // asked_workers(settings))


def memory_of_each(settings: Settings, *, most_gb: float | None = None) -> float | None:
    """MB that each worker may take at most; None where nobody knows."""
    on_gpu = gpus_of(settings) > 0
    return memory_for_workers(num_workers(settings), on_gpu=on_gpu, most_gb=most_gb)


def largest_pack(settings: Settings) -> int:
    """Most runs of a pack.

    Together they share what a step costs beside its products: on a GPU nearly everything, on a
    CPU core a third. A sampler that learns must see scores before it has drawn everything.
    """
    size = settings.executor.pack_size
    if size is None:
        size = _GPU_PACK if gpus_of(settings) else _cpu_pack(settings)
    if settings.search.sampler in ("tpe", "gp", "cmaes", "nsga2"):
        size = min(size, settings.search.n_trials // (_FEWEST_PACKS * num_workers(settings)))
    return max(1, size)


def usual_pack(settings: Settings) -> int:
    """Runs of a pack where there are few: every worker gets one."""
    return min(largest_pack(settings), -(-settings.num_configs // num_workers(settings)))


def _cpu_pack(settings: Settings) -> int:
    """As many runs as surely leave half of the memory to others: nobody can halve a pack here
    before the system has killed something."""
    memory = memory_of_each(settings, most_gb=settings.executor.max_memory_gb)
    needed = max(most_activations(recipe) for _, recipe in settings.configs()) / 1e6
    return 1 if memory is None else min(_CPU_PACK, int(memory / 2 / needed))
