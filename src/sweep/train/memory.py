"""Peak memory of one run."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from types import TracebackType

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class PeakMemory:
    """Context manager; `peak_mb` afterwards holds the peak in MB (10^6 bytes), or None.

    On a GPU: the allocator's peak. On a CPU under Linux: the peak resident set of the process
    (base model included), whose high-water mark is reset on entry (man 5 proc, `clear_refs`).

    Args:
        device: That the run trains on.
    """

    peak_mb: float | None = None

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __enter__(self) -> PeakMemory:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return self
        try:
            _CLEAR.write_text("5")
        except OSError:
            # Without a reset the mark would be that of an earlier run: better none at all.
            self._resettable = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._device.type == "cuda":
            self.peak_mb = round(torch.cuda.max_memory_allocated(self._device) / 1e6, 1)
        elif self._resettable:
            self.peak_mb = _said_mb("VmHWM")

    _resettable = True


def give_back_free_memory() -> None:
    """Hand pages that hold nothing back to the system, where the C library can (glibc).

    Workers keep what a training step has freed for the next step; the next pack need not begin
    with the heap of the last one.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def memory_for_workers(workers: int, *, on_gpu: bool, most_gb: float | None = None) -> float | None:
    """MB that each of so many workers may take at most.

    Args:
        on_gpu: Whether each has a GPU; all share the machine's memory otherwise.
        most_gb: Less than there is, of each GPU or of the machine; None takes everything.
    """
    allowed = float("inf") if most_gb is None else most_gb * 1000
    if on_gpu:
        return min(allowed, torch.cuda.get_device_properties(0).total_memory / 1e6)
    try:
        everything = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    except (AttributeError, ValueError, OSError):
        return None if most_gb is None else allowed / workers
    return min(allowed, everything) / workers


def resident_mb() -> float | None:
    """What of this process is in memory now, in MB; None where the system does not say."""
    return _said_mb("VmRSS") if _STATUS.is_file() else None


def _said_mb(name: str) -> float | None:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return None
