"""What a setting does to dev Pearson: the grid of 8 with three seeds, once for each value.

    python benchmarks/setting_effect.py trainer.precision fp32 bf16
    python benchmarks/setting_effect.py trainer.train_sampling_strategy random group_by_length

Runs of one config and seed are compared pair by pair, beside the standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import runs_of, summary, write


def table_of(key: str, value: str, steps: int) -> pd.DataFrame:
    """One row per run, with the wall time of the sweep."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "sweep", "+experiment=lora_grid", "tracking=disabled"),
            *(
                "search.seeds=[0,1,2]",
                "search.race=false",
                "confirm=none",
                f"{key}={value}",
                f"trainer.max_steps={steps}",
            ),
            *(f"trainer.eval_steps={steps // 2}", f"results_dir={folder}"),
        ]
        start = time.perf_counter()
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        table = runs_of(Path(folder) / "lora_grid")
    return table.assign(value=value, wall_seconds=time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("key")
    parser.add_argument("values", nargs=2)
    parser.add_argument("--steps", type=int, default=200)
    asked = parser.parse_args()
    config = ["lora.r", "lora.lora_dropout", "lora.target_modules"]
    frame = pd.concat([table_of(asked.key, value, asked.steps) for value in asked.values])
    scores = frame.pivot(index=[*config, "seed"], columns="value", values="pearson")
    difference = scores[asked.values[1]] - scores[asked.values[0]]
    means = difference.groupby(config).mean()
    within = scores[asked.values[0]].groupby(config).var(ddof=1)
    content: dict[str, Any] = {
        "key": asked.key,
        "values": asked.values,
        "steps": asked.steps,
        "raw": frame[[*config, "seed", "value", "pearson", "train_seconds"]].to_dict("records"),
        "wall_seconds": frame.groupby("value")["wall_seconds"].first().to_dict(),
        "train_seconds": frame.groupby("value")["train_seconds"].sum().to_dict(),
        "mean_difference": float(difference.mean()),
        "mean_absolute_difference_of_runs": float(difference.abs().mean()),
        "mean_absolute_difference_of_configs": float(means.abs().mean()),
        "seed_standard_deviation": float(np.sqrt(within.mean())),
        "by_value": {v: summary(scores[v].tolist()) for v in asked.values},
    }
    print(write(f"setting_effect_{asked.key.split('.')[-1]}", content))
    print({k: v for k, v in content.items() if k != "raw"})


if __name__ == "__main__":
    main()
