"""A busy core beside the sweep: what it costs this program, and a plain `Trainer` with all threads.

    python benchmarks/busy_core.py [--repeats 5]

The sweep is `lora_grid` with few steps, its time that of the runs (training and evaluation). The
plain one is PEFT + `Trainer` in one process with torch's default threads, its time that of a step.
With one of N cores taken, N / (N - 1) times as long is what the core was worth.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from common import runs_of, summary, write
from pack_scaling import plain, recipe_of
from rich.progress import track

from sweep.config.compose import load_settings
from sweep.execute.cores import physical_cores

_SPIN = "while True: pass"


@contextmanager
def busy_core() -> Iterator[None]:
    """A process that never rests, on whatever core the system gives it."""
    with subprocess.Popen([sys.executable, "-c", _SPIN]) as process:
        try:
            yield
        finally:
            process.kill()


def sweep_seconds(steps: int) -> float:
    """Of all runs of the grid, shared out over the workers."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "sweep", "+experiment=lora_grid", "tracking=disabled"),
            *("confirm=none", f"trainer.max_steps={steps}", f"trainer.eval_steps={steps}"),
            f"results_dir={folder}",
        ]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        table = runs_of(Path(folder) / "lora_grid")
    return float(table["train_seconds"].sum()) / len(physical_cores())


def plain_step_seconds(steps: int) -> float:
    """With the threads that torch takes by itself."""
    torch.set_num_threads(len(physical_cores()))
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_of(load_settings([])[0].model, "all-linear", steps)
        return plain(recipe, Path(folder), autocast=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=24)
    asked = parser.parse_args()
    raw: dict[str, list[float]] = {}
    for _ in track(range(asked.repeats), description="alone and beside a busy core"):
        for name, measure in (("sweep", sweep_seconds), ("plain", plain_step_seconds)):
            raw.setdefault(f"{name}_alone", []).append(measure(asked.steps))
            with busy_core():
                raw.setdefault(f"{name}_beside", []).append(measure(asked.steps))
    found = {key: summary(values) for key, values in raw.items()}
    slower = {
        name: found[f"{name}_beside"]["median"] / found[f"{name}_alone"]["median"]
        for name in ("sweep", "plain")
    }
    content: dict[str, Any] = {
        "cores": len(physical_cores()),
        "raw": raw,
        "summary": found,
        "times_as_long_beside_a_busy_core": slower,
    }
    print(write("busy_core", content))
    print(slower)


if __name__ == "__main__":
    main()
