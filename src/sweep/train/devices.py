"""Which devices a training takes."""

from __future__ import annotations

import torch


def num_gpus(*, use_cpu: bool) -> int:
    """GPUs that runs are shared out over; 0 means the CPU.

    Args:
        use_cpu: `trainer.use_cpu`: leave the GPUs to others.
    """
    return torch.cuda.device_count() if torch.cuda.is_available() and not use_cpu else 0
