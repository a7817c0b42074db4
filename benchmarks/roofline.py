"""How much of the device's matrix-product rate a training step reaches, and where the rest goes.

    python benchmarks/roofline.py [--precision fp32 bf16] [--packs 1 4] [--threads 1]

Operations that a step must do, counted on tokens that are not padding: 4 x parameters of the
base's linear layers x tokens (forward, and the gradient of the input; frozen weights have none),
6 x LoRA parameters x tokens, and 12 x width x (sum of squared lengths) per layer for attention.
The rate is that of a 2048-square product in the same process, in the same precision.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import summary, write
from pack_scaling import packed, recipe_of, runs_of
from rich.progress import track
from torch import nn

from sweep.config.compose import load_settings
from sweep.core.recipe import Recipe
from sweep.lora.model import load_tokenizer, targets_of
from sweep.lora.pack import Base, PackedModel
from sweep.train.keeper import Keeper
from sweep.train.precision import dtype_of
from sweep.train.splits import splits
from sweep.train.trainer import PackTrainer

_SIDE = 2048


def product_rate(dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product."""
    a, b = torch.randn(2, _SIDE, _SIDE).to(dtype)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * _SIDE**3 / statistics.median(times[2:])


def operations(recipe: Recipe, base: Base) -> float:
    """Of one step, on average over the training pairs."""
    head = targets_of(recipe.model, recipe.lora).head
    linear = sum(
        module.weight.numel()
        for path, module in base.net.named_modules()
        if isinstance(module, nn.Linear) and path.split(".")[0] not in head
    )
    lora = targets_of(recipe.model, recipe.lora).lora_params(recipe.lora.r)
    lengths = splits(recipe.model, recipe.data).train.lengths
    rows = recipe.trainer.per_device_train_batch_size
    tokens, squares = rows * float(lengths.mean()), rows * float((lengths**2).mean())
    config = base.net.config
    attention = 12 * config.num_hidden_layers * config.hidden_size * squares
    return (4 * linear + 6 * lora) * tokens + attention


def profile(recipe: Recipe, base: Base, size: int, scratch: Path) -> list[dict[str, Any]]:
    """Shares of the time by kind of operation, over the last steps of a training."""
    runs = runs_of(recipe, size)
    with PackedModel(base, runs) as pack, torch.profiler.profile() as profiler:
        keepers = {run.id: Keeper(run, scratch / run.id) for run in runs}
        shared = splits(recipe.model, recipe.data)
        PackTrainer(pack, keepers, shared, lambda event: None, scratch=str(scratch)).train()
    rows = profiler.key_averages()
    total = sum(row.self_cpu_time_total for row in rows)
    top = sorted(rows, key=lambda row: -row.self_cpu_time_total)[:25]
    return [
        {"name": r.key, "share": round(r.self_cpu_time_total / total, 4), "calls": r.count}
        for r in top
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--packs", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_settings([])[0].model
    raw: dict[str, list[dict[str, float]]] = {}
    profiles: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in asked.precision:
            dtype = dtype_of(precision)
            base = Base(model, load_tokenizer(model), device=device, dtype=dtype)
            shapes = (("qv", 0.0), ("all-linear", 0.0), ("all-linear", 0.1))
            for (targets, rate), size in itertools.product(shapes, asked.packs):
                recipe = recipe_of(model, targets, asked.steps)
                recipe = replace(recipe, lora=replace(recipe.lora, lora_dropout=rate))
                case = f"{precision} {targets} dropout {rate}, pack of {size}"
                needed = size * operations(recipe, base)
                for _ in track(range(asked.repeats), description=case):
                    limit, seconds = product_rate(dtype), packed(recipe, base, size, Path(folder))
                    row = {
                        "step_seconds": seconds,
                        "operations": needed,
                        "rate": limit,
                        "share": needed / seconds / limit,
                    }
                    raw.setdefault(case, []).append(row)
                profiles[case] = profile(recipe, base, size, Path(folder))
    found = {
        case: {k: summary([r[k] for r in rows]) for k in rows[0]} for case, rows in raw.items()
    }
    content = {
        "model": "all-MiniLM-L6-v2, batch 16 of the generated pairs",
        "threads": asked.threads,
        "raw": raw,
        "summary": found,
        "profile": profiles,
    }
    print(write(f"roofline_{device.type}", content))
    for case, values in found.items():
        print(case, {k: v["median"] for k, v in values.items()})


if __name__ == "__main__":
    main()
