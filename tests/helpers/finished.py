"""A finished study of made-up predictions, in a moment."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from sweep.core.recipe import Model, Recipe
from sweep.loop.trial import Finished, Outcome, Run, RunState
from sweep.study.folder import open_folder
from sweep.study.tables import Results

LABELS = np.random.default_rng(0).uniform(0, 5, 200)


def make(
    folder: Path,
    noise: dict[int, float],
    *,
    model: str,
    dev: str = "abc",
    labels: np.ndarray = LABELS,
) -> Path:
    """A finished study: by rank, how far its predictions are off."""
    base = Recipe(model=Model(path=model))
    settings = {"name": folder.name, "model": dataclasses.asdict(base.model)}
    space = {"search": {"space": {"lora.r": [2, 8]}}, "fingerprints": {"dev": dev}}
    folder.mkdir(parents=True)
    open_folder(folder, {**settings, **space}, resume="continue")
    np.save(folder / "dev_labels.npy", labels)
    results = Results(folder, searched_keys=["lora.r"], versions={})
    for trial, (rank, off) in enumerate(noise.items()):
        run = Run(trial, {"lora.r": rank}, base.with_values({"lora.r": rank}))
        predictions = labels + off * np.random.default_rng(rank).normal(size=len(labels))
        (folder / "runs" / run.id).mkdir(parents=True)
        np.save(folder / "runs" / run.id / "predictions.npy", predictions)
        results.add(run)
        pearson = float(np.corrcoef(predictions, labels)[0, 1])
        done = Outcome(RunState.COMPLETE, score=pearson, lora_params=rank * 100, train_seconds=3)
        results.handle(Finished(run.id, done))
    results.close()
    return folder
