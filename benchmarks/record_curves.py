"""Learning curves of a whole grid with three seeds, for `replay.py`.

    python benchmarks/record_curves.py

48 configs of MiniLM on the generated pairs, 96 steps each, scored on dev every 12 steps: 144
runs, about a quarter of an hour on two cores. An interrupted recording goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
from common import RESULTS

CURVES = RESULTS / "replay_curves.csv"
STUDY = RESULTS.parent / "replay_recording"
SPACE = {
    "rank": {f"r{r}_a{2 * r}": {"lora.r": r, "lora.lora_alpha": 2 * r} for r in (4, 8, 16)},
    "lora.target_modules": ["qv", "attention", "mlp", "all-linear"],
    "trainer.learning_rate": [5e-4, 1e-3, 2e-3, 4e-3],
}
SEEDS = (0, 1, 2)


def record() -> None:
    """Train the grid: every seed of every config to its end."""
    settings = [
        *(f"name={STUDY.name}", f"results_dir={STUDY.parent}", "tracking=disabled"),
        *("confirm=none", "search.race=false", f"search.seeds={list(SEEDS)}"),
        *("trainer.max_steps=96", "trainer.eval_strategy=steps", "trainer.eval_steps=12"),
        *("trainer.warmup_steps=10", "data.max_dev_rows=300"),
        f"search.space={hydra(SPACE)}",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-m", "sweep", *settings], check=True, env=environment)


def curves() -> pd.DataFrame:
    """A row per evaluation: the point, the seed, step, dev Pearson and seconds of the run."""
    rows = []
    for path in sorted(STUDY.glob("runs/*/run.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        rows += [
            {
                **run["params"],
                "seed": run["recipe"]["seed"],
                "step": evaluation["step"],
                "pearson": round(evaluation["pearson"], 6),
                "lora_params": run["outcome"]["lora_params"],
                "train_seconds": run["outcome"]["train_seconds"],
            }
            for evaluation in run["outcome"]["evaluations"]
        ]
    return pd.DataFrame(rows).sort_values([*SPACE, "seed", "step"], ignore_index=True)


def hydra(value: object) -> str:
    """In Hydra's grammar: JSON whose keys are not quoted."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{hydra(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(hydra, value)) + "]"
    return str(value)


def main() -> None:
    record()
    table = curves()
    table.to_csv(CURVES, index=False)
    print(f"{CURVES}: {len(table)} evaluations of {len(table.groupby([*SPACE, 'seed']))} runs")


if __name__ == "__main__":
    main()
