"""What the baselines of the frozen base cost beside `lora_grid`, in seconds of one core.

    python benchmarks/baselines.py [--repeats 3]

CPU time, not wall time: other work on the machine counts little. The grid's is that of a step and
of an evaluation of its packs, times their number; its confirmation takes as many runs as it has.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from common import summary, write

from sweep.config.compose import load_settings
from sweep.config.confirming import confirmation_of
from sweep.config.preflight import with_settled_precision
from sweep.config.schema import Settings
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.export.test_scores import splits_set_aside
from sweep.loop.trial import Run
from sweep.train.baselines import score_baselines
from sweep.train.cost import relative_cost
from sweep.train.pace import num_steps
from sweep.train.runs import train_pack

_FEW, _MORE, _PACK = 4, 12, 4


def of_baselines(recipe: Recipe) -> float:
    """Both, as a sweep scores them at its end: loading the base once included."""
    splits = ("dev", *splits_set_aside(recipe.data))
    start = time.process_time()
    score_baselines(recipe, ("cosine", "head"), splits, 1)
    return time.process_time() - start


def of_training(recipes: Sequence[Recipe], *, steps: int, evaluations: int) -> float:
    """These steps and evaluations of a pack, loading left out where the base is there."""
    trainer = replace(
        recipes[0].trainer, max_steps=steps, eval_steps=steps // evaluations, eval_strategy="steps"
    )
    runs = tuple(
        Run(number, {}, replace(recipe, trainer=trainer)) for number, recipe in enumerate(recipes)
    )
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            (Path(folder) / run.id).mkdir()
        start = time.process_time()
        train_pack(runs, Path(folder), lambda event: None)
        return time.process_time() - start


def of_search(settings: Settings) -> float:
    """All packs of the grid, from a few steps of each."""
    recipes = sorted((recipe for _, recipe in settings.configs()), key=relative_cost)
    steps, evaluations = num_steps(recipes[0], train_rows=len(load_split(settings.data, "train")))
    # Loads base and pairs, which is not the grid's alone.
    of_training(recipes[:_PACK], steps=_FEW, evaluations=1)
    total = 0.0
    for first in range(0, len(recipes), _PACK):
        pack = recipes[first : first + _PACK]
        few, more, twice = (
            of_training(pack, steps=number, evaluations=times)
            for number, times in ((_FEW, 1), (_MORE, 1), (_MORE, 2))
        )
        total += steps * (more - few) / (_MORE - _FEW) + evaluations * (twice - more)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    settings = with_settled_precision(load_settings(["+experiment=lora_grid"])[0])
    recipe, runs = settings.recipe(settings.search.seeds[0]), len(settings.configs())
    share = 1 + confirmation_of(settings, runs=runs).most_runs / runs
    raw = []
    for _ in range(repeats):
        raw.append({"baselines": of_baselines(recipe), "search": of_search(settings)})
        print(raw[-1], flush=True)
    of_grid = [one["baselines"] / (share * one["search"]) for one in raw]
    content = {
        "precision": settings.trainer.precision,
        "confirmation_beside_search": share - 1,
        "share_of_lora_grid": summary(of_grid),
        "share_of_its_search": summary([share * one for one in of_grid]),
        "cpu_seconds": {name: summary([one[name] for one in raw]) for name in raw[0]},
        "raw": raw,
    }
    print(write("baselines", content))


if __name__ == "__main__":
    main()
