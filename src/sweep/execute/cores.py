"""Which CPU cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def physical_cores(topology: Path = _TOPOLOGY, quota: Path = _QUOTA) -> list[int]:
    """One CPU number for each physical core that we may use, at least one.

    Threads of one core share its multipliers: two trainings on them take twice as long. A
    container's share of CPU time (cgroup v2, `cpu.max`) limits the number as well.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
    else:
        allowed = list(range(os.cpu_count() or 1))
    cores = {_siblings(cpu, topology): cpu for cpu in reversed(allowed)}
    return sorted(cores.values())[: _share(quota) or len(cores)]


def _siblings(cpu: int, topology: Path) -> str:
    """Names the core of a CPU; unknown means that it is one of its own."""
    try:
        return (topology / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _share(quota: Path) -> int | None:
    """Whole CPUs of the container's quota, or None where there is no limit."""
    try:
        allowed, period = quota.read_text().split()
        return max(1, math.floor(int(allowed) / int(period)))
    except (OSError, ValueError):
        return None
