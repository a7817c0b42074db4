"""What the orchestration costs: a sweep's wall time beside its training, and time per trial.

    python benchmarks/overhead.py [--repeats 5] [--trials 100 1000 10000]

The second part runs the real search, records and loop with a trainer that does nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import runs_of, summary, write
from rich.progress import track

from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.execute.cores import physical_cores
from sweep.execute.in_process import InProcess
from sweep.loop.orchestrator import Sweep
from sweep.loop.ports import Handle, Pack
from sweep.loop.rules import Rules
from sweep.loop.trial import Evaluation, Finished, Outcome, RunState
from sweep.search import OptunaSearch, SearchTask
from sweep.space.space import parse_space
from sweep.study.tables import Results

_ROWS = 500
LABELS = np.random.default_rng(0).uniform(0, 5, _ROWS)


def of_a_sweep() -> dict[str, float]:
    """`lora_grid` in a process of its own: seconds of its phases, and of the training it holds.

    `start` (imports, checks) ends when the first run is taken up, `end` (ranking, scoring test,
    verifying the export) begins when the last one is done. `share` is what of the whole wall time
    is not training, `loop_share` what of the time between start and end.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sweep", "+experiment=lora_grid"]
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, "tracking=disabled", f"results_dir={folder}"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        lines = [(time.perf_counter() - start, line) for line in process.stdout]
        if process.wait() != 0:
            raise SystemExit(f"error: the sweep ended with {process.returncode}")
        wall = time.perf_counter() - start
        table = runs_of(Path(folder) / "lora_grid")
    first = min(at for at, line in lines if line.startswith("started"))
    last = max(at for at, line in lines if re.match(r"\s+\d+/\d+\s", line))
    training = float(table["train_seconds"].sum()) / len(physical_cores())
    return {
        "wall": wall,
        "start": first,
        "loop": last - first,
        "end": wall - last,
        "training": training,
        "share": 1 - training / wall,
        "loop_share": 1 - training / (last - first),
    }


def train_nothing(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    for run in pack:
        score = 0.8 + 0.01 * np.tanh(run.recipe.lora.r / 100)
        rung = Evaluation(1, 1.0, score, score, 0.1)
        rng = np.random.default_rng(run.trial)
        np.save(runs_dir / run.id / "predictions.npy", LABELS + rng.normal(size=_ROWS))
        outcome = Outcome(
            RunState.COMPLETE,
            score=score,
            score_last=score,
            evaluations=(rung,),
            lora_params=run.recipe.lora.r,
            train_seconds=0.0,
        )
        handle(Finished(run.id, outcome))


def of_trials(count: int) -> dict[str, Any]:
    """Seconds per trial, bytes on disk and in memory after `count` trials that train nothing."""
    space = parse_space(
        {
            "lora.r": {"low": 1, "high": 256},
            "lora.lora_dropout": {"low": 0.0, "high": 0.5},
            "trainer.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
        },
        valid_keys=SEARCHABLE_KEYS,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "dev_labels.npy", LABELS)
        before = psutil.Process().memory_info().rss
        start = time.perf_counter()
        Sweep(
            study="overhead",
            search=OptunaSearch(
                folder / "study.db",
                SearchTask(
                    name="overhead",
                    space=space,
                    sampler="random",
                    num_trials=count,
                ),
            ),
            executor=InProcess(train_nothing, runs_dir=folder / "runs"),
            records=Results(folder, searched_keys=space.keys, versions={}),
            watchers=[],
            expand=lambda params, seed: Recipe(seed=seed).with_values(space.values(params)),
            pack_key=lambda recipe: recipe.run_id,
            rules=Rules(seeds=(0,)),
        ).run()
        seconds = time.perf_counter() - start
        return {
            "trials": count,
            "ms_per_trial": 1000 * seconds / count,
            "study_db_bytes": (folder / "study.db").stat().st_size,
            "memory_bytes": psutil.Process().memory_info().rss - before,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--repeats", type=int, default=5, help="of the sweep; 0 leaves it out")
    asked = parser.parse_args()
    if asked.repeats:
        sweeps = [of_a_sweep() for _ in track(range(asked.repeats), description="lora_grid")]
        found = {k: summary([s[k] for s in sweeps]) for k in sweeps[0]}
        threads = {"workers": len(physical_cores()), "threads each": 1}
        print(write("overhead_sweep", {"threads": threads, "raw": sweeps, "summary": found}))
        print(found)
    if asked.trials:
        trials = [of_trials(count) for count in track(asked.trials, description="trials")]
        print(write("overhead_trials", {"threads": {"driver": 1}, "raw": trials}))
        print(*trials, sep="\n")


if __name__ == "__main__":
    main()
