"""What numbers a device computes in: float32, or 16 bits where the hardware has them."""

from __future__ import annotations

from typing import Literal

import torch

from sweep.train.devices import num_gpus

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(asked: str, *, use_cpu: bool = False) -> Precision:
    """`auto` becomes bf16 where the device multiplies it in silicon; else fp16 on a GPU, or fp32.

    On a CPU that is AVX-512 BF16 or AMX, on a GPU NVIDIA's Ampere or later (or ROCm).
    Emulated bfloat16 is slower than float32. Every GPU that PyTorch runs on has float16.
    """
    if asked == "fp32":
        return "fp32"
    if asked == "bf16":
        return "bf16"
    if asked == "fp16":
        return "fp16"
    if num_gpus(use_cpu=use_cpu):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    found = torch.cpu.get_capabilities()
    return "bf16" if found.get("avx512_bf16") or found.get("amx_bf16") else "fp32"


def dtype_of(precision: str) -> torch.dtype:
    """The type in which the frozen base is kept and computes."""
    return _DTYPES[precision]
