"""Runs that `Results` records, with predictions of a given quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sweep.core.recipe import Lora, Recipe
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, RunState, Started
from sweep.study.tables import Results

KEYS = ("lora.r", "lora.target_modules")

LABELS = np.random.default_rng(0).uniform(0, 5, 200)


def open_results(folder: Path, **changes: Any) -> Results:
    return Results(folder, searched_keys=KEYS, versions={"sweep": "0"}, **changes)


def run_of(trial: int, r: int, seed: int = 0) -> Run:
    lora = Lora(r=r, lora_alpha=2 * r, target_modules=("query", "value"))
    return Run(trial, {"lora.r": str(r)}, Recipe(lora=lora, seed=seed))


def outcome(pearson: float, **changes: object) -> Outcome:
    rung = Evaluation(10, 1.0, pearson, pearson, 0.1)
    values = {
        "score": pearson,
        "score_last": pearson - 0.01,
        "best_step": 10,
        "beside": pearson,
        "evaluations": (rung,),
        "lora_params": 1000,
        "train_seconds": 2.0,
        "worker": "w",
        **changes,
    }
    return Outcome(RunState.COMPLETE, **values)  # type: ignore[arg-type]


def finish(results: Results, run: Run, result: Outcome, noise: float = 0.5) -> None:
    folder = results.folder / "runs" / run.id
    folder.mkdir(parents=True)
    rng = np.random.default_rng(run.trial)
    np.save(folder / "predictions.npy", LABELS + rng.normal(scale=noise, size=len(LABELS)))
    results.add(run)
    results.handle(Started(run.id, "w"))
    results.handle(Finished(run.id, result))
