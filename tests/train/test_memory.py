"""What a worker's memory is, and what it gives back."""

from __future__ import annotations

import sys

import psutil
import pytest

from sweep.train.memory import PeakMemory, give_back_free_memory


def resident_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked to")
def test_freed_memory_below_what_is_in_use_goes_back_to_the_system() -> None:
    blocks = [bytearray(64_000) for _ in range(2000)]
    for block in blocks:
        block[::4096] = b"x" * len(block[::4096])
    full = resident_mb()
    # The last block holds the end of the heap, so nothing shrinks by itself.
    del blocks[:-1]
    give_back_free_memory()
    assert resident_mb() < full - 100


def test_peak_is_above_what_is_left_and_starts_anew() -> None:
    with PeakMemory() as large:
        block = bytearray(200_000_000)
        block[::4096] = b"x" * len(block[::4096])
        del block
    with PeakMemory() as small:
        pass
    if large.peak_mb is None or small.peak_mb is None:
        pytest.skip("this system does not tell the peak")
    assert large.peak_mb > small.peak_mb + 150
