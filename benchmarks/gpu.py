"""What only a GPU can tell, in under eight minutes: `benchmarks/gpu.sh`.

Each part is a process with a limit of its own; one that fails or runs over says so, and the others
are written all the same.

- `packs`: seconds of one run's step in packs of 1 to 64, of MiniLM and of 6 layers x 768, in fp16,
  bf16 and fp32, and the share that the base's products have of the GPU's rate for large ones.
- `quantization`: base, peak and step of a pack of 16 with nf4 and int8, where they are installed.
- `memory`: what the plan expects of a pack, the allocator's peak, and what the driver says (NVML).
- `halving`: a pack of 32 where memory is for 16: how its runs were trained.
- `workers`: seconds of a small grid with one worker and with two on one GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import write
from pack_scaling import models, packed, recipe_of, runs_of

from sweep.core.optional import trouble_with
from sweep.core.recipe import Recipe
from sweep.execute.boundary import Boundary
from sweep.loop.trial import Event, Finished, Outcome
from sweep.lora.model import load_tokenizer, targets_of
from sweep.lora.pack import Base
from sweep.lora.quantization import PACKAGES
from sweep.train.pace import measure_pace
from sweep.train.precision import dtype_of
from sweep.train.runs import train_pack
from sweep.train.splits import splits

#: Seconds of each part, at most: 7.5 minutes in all.
LIMITS = {"packs": 150, "quantization": 60, "memory": 60, "halving": 60, "workers": 120}
_SIZES = (1, 4, 16, 64)
_PRECISIONS = ("fp16", "bf16", "fp32")
_STEPS = 12


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def base_of(recipe: Recipe) -> Base:
    dtype = dtype_of(recipe.trainer.precision)
    return Base(recipe.model, load_tokenizer(recipe.model), device=device(), dtype=dtype)


def in_precision(recipe: Recipe, precision: Any) -> Recipe:
    return replace(recipe, trainer=replace(recipe.trainer, precision=precision))


def packs(sizes: tuple[int, ...], steps: int) -> dict[str, Any]:
    """By model and precision: seconds of a run's step, and the share of the product's rate."""
    found: dict[str, Any] = {}
    with models() as known, tempfile.TemporaryDirectory() as folder:
        for precision in _PRECISIONS:
            rate = product_rate(dtype_of(precision))
            for name, model in known.items():
                recipe = in_precision(recipe_of(model, "all-linear", steps), precision)
                base, needed = base_of(recipe), products(recipe)
                for size in sizes:
                    seconds = packed(recipe, base, size, Path(folder)) / size
                    share = needed / seconds / rate
                    entry = {"seconds": seconds, "share_of_product_rate": round(share, 4)}
                    found[f"{name} {precision} pack of {size}"] = entry
                    tell(found)
    return found


def product_rate(dtype: torch.dtype, side: int = 4096) -> float:
    """Operations a second of a large matrix product."""
    side = side if device().type == "cuda" else 512
    a, b = torch.randn(2, side, side, device=device()).to(dtype)
    times = []
    for _ in range(12):
        synchronize()
        start = time.perf_counter()
        a @ b
        synchronize()
        times.append(time.perf_counter() - start)
    return 2 * side**3 / statistics.median(times[2:])


def products(recipe: Recipe) -> float:
    """Operations of the base's linear layers in one step: forward, and the inputs' gradients."""
    layers = targets_of(recipe.model, replace(recipe.lora, target_modules="all-linear")).layers
    weights = sum(layer.in_features * layer.out_features for layer in layers)
    lengths = splits(recipe.model, recipe.data).train.lengths
    return 4 * weights * float(lengths.mean()) * recipe.trainer.per_device_train_batch_size


def quantization(size: int, steps: int) -> dict[str, Any]:
    """Of 6 layers x 768 in fp16: MB of the base and at the peak, seconds of a run's step."""
    found: dict[str, Any] = {}
    with models() as known, tempfile.TemporaryDirectory() as folder:
        plain = recipe_of(known["roberta_small_shape"], "qv", steps)
        for kind in ("none", *PACKAGES):
            trouble = trouble_with(PACKAGES[kind]) if kind in PACKAGES else None
            if trouble is not None:
                found[kind] = f"{PACKAGES[kind]} {trouble}"
                continue
            model = replace(plain.model, quantization=kind)
            recipe = in_precision(replace(plain, model=model), "fp16")
            base = base_of(recipe)
            seconds = packed(recipe, base, size, Path(folder)) / size
            found[kind] = {"base_mb": base.memory_mb, "peak_mb": peak_mb(), "seconds": seconds}
            tell(found)
    return found


def memory(size: int, steps: int) -> dict[str, Any]:
    """MB of a pack on MiniLM: the plan's, the allocator's peak, and the driver's."""
    with models() as known, tempfile.TemporaryDirectory() as folder:
        recipe = in_precision(recipe_of(known["minilm"], "all-linear", steps), "fp16")
        runs = runs_of(recipe, size)
        planned = measure_pace([run.recipe for run in runs]).peak_memory_mb
        outcomes = trained(runs, Path(folder))
        return {
            "planned_mb": planned,
            "allocator_peak_mb": outcomes[0].peak_memory_mb,
            "driver_mb": driver_mb(),
        }


def halving(size: int, steps: int) -> dict[str, Any]:
    """A pack of twice as many runs as there is memory for: sizes of the packs that did train."""
    with models() as known, tempfile.TemporaryDirectory() as folder:
        recipe = in_precision(recipe_of(known["roberta_small_shape"], "all-linear", steps), "fp16")
        trained(runs_of(recipe, size // 2), Path(folder) / "half")
        needed = torch.cuda.max_memory_reserved() * 1.1
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, needed / total))
        outcomes = trained(runs_of(recipe, size), Path(folder) / "whole")
    states = Counter(outcome.state.value for outcome in outcomes)
    sizes = Counter(outcome.pack_size for outcome in outcomes)
    return {"states": states, "runs_by_pack_size": sizes, "limit_mb": needed / 1e6}


def trained(runs: Any, folder: Path) -> list[Outcome]:
    """As a worker does: what does not fit is halved."""
    events: list[Event] = []
    folder.mkdir(exist_ok=True)
    Boundary(train_pack, runs_dir=folder, worker="w").attempt(tuple(runs), events.append)
    return [event.outcome for event in events if isinstance(event, Finished)]


def workers(steps: int) -> dict[str, Any]:
    """Seconds of `lora_grid`, whole program, by the number of workers on one GPU."""
    found = {}
    for count in (1, 2):
        words = [f"executor.workers={count}", f"trainer.max_steps={steps}", "tracking=disabled"]
        words += ["executor=processes", "confirm=none", "baselines=none", "search.seeds=[0]"]
        command = [sys.executable, "-m", "sweep", "+experiment=lora_grid", *words]
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr)
            found[f"{count} workers"] = time.perf_counter() - start
        tell(found)
    return found


def synchronize() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize()


def peak_mb() -> float | None:
    """Of the allocator, since the last call."""
    if device().type != "cuda":
        return None
    peak = torch.cuda.max_memory_allocated() / 1e6
    torch.cuda.reset_peak_memory_stats()
    return peak


def driver_mb() -> float | None:
    """What NVML says that this process takes."""
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, check=True, capture_output=True, text=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        return None
    found = dict(line.split(", ") for line in lines if line)
    mib = found.get(str(os.getpid()))
    return float(mib) * 2**20 / 1e6 if mib and mib.isdigit() else None


def tell(found: dict[str, Any]) -> None:
    """For the process that waits: so far. The last line counts."""
    print(json.dumps(found), flush=True)


def part_of(name: str, sizes: tuple[int, ...], steps: int) -> dict[str, Any]:
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "packs": lambda: packs(sizes, steps),
        "quantization": lambda: quantization(min(16, max(sizes)), steps),
        "memory": lambda: memory(min(16, max(sizes)), steps),
        "halving": lambda: halving(32, steps),
        "workers": lambda: workers(5 * steps),
    }
    return parts[name]()


def in_a_process(name: str) -> Any:
    """What a part has found, within its time."""
    command = [sys.executable, __file__, name]
    found, why = "", None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            found, _ = process.communicate(timeout=LIMITS[name])
            why = f"exit code {process.returncode}" if process.returncode else None
        except subprocess.TimeoutExpired:
            process.kill()
            found, _ = process.communicate()
            why = f"ended after {LIMITS[name]} s"
    lines = [line for line in found.splitlines() if line.startswith("{")]
    content = json.loads(lines[-1]) if lines else {}
    return {**content, "incomplete": why} if why else content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=LIMITS)
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES)
    parser.add_argument("--steps", type=int, default=_STEPS)
    asked = parser.parse_args()
    if asked.part is not None:
        tell(part_of(asked.part, tuple(asked.sizes), asked.steps))
    elif not torch.cuda.is_available():
        sys.exit("No GPU is here: these figures are never estimated.")
    else:
        print(write("gpu", {name: in_a_process(name) for name in LIMITS}))


if __name__ == "__main__":
    main()
