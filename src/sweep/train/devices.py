"""Which devices a training takes."""

from __future__ import annotations

import os

import torch


def num_gpus(*, use_cpu: bool) -> int:
    """GPUs, or slices of them (MIG), that runs are shared out over; 0 means the CPU.

    CUDA shows a process the first slice of `CUDA_VISIBLE_DEVICES` alone, and each worker is given
    one: so those that are named there are counted.

    Args:
        use_cpu: `trainer.use_cpu`: leave the GPUs to others.
    """
    if use_cpu or not torch.cuda.is_available():
        return 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    slices = [name for name in named if name.strip().startswith("MIG")]
    return len(slices) or torch.cuda.device_count()
