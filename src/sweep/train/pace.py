"""How long a training takes here, found out by a few steps of it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from sweep.core.recipe import Recipe
from sweep.core.trial import Run
from sweep.train.keeper import Keeper
from sweep.train.memory import PeakMemory
from sweep.train.pack import Pack
from sweep.train.packable import why_alone
from sweep.train.runs import base_of
from sweep.train.splits import splits
from sweep.train.trainer import PackTrainer

#: The first steps are slower: matrix libraries prepare themselves for each shape.
_WARM_UP, _TIMED = 6, 10


@dataclass(frozen=True)
class Pace:
    """Seconds of a step and of an evaluation of one run, and the peak of the memory in MB where
    known, of the worker with the whole pack."""

    step_seconds: float
    eval_seconds: float
    peak_memory_mb: float | None

    def run_seconds(self, recipe: Recipe, *, train_rows: int) -> float:
        """Of one run, evaluations included."""
        steps, evaluations = num_steps(recipe, train_rows=train_rows)
        return steps * self.step_seconds + evaluations * self.eval_seconds


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    @property
    def mean(self) -> float:
        """Not the median: long batches, and shapes that occur for the first time, count as well."""
        timed = self.ends[_WARM_UP:]
        return statistics.fmean(b - a for a, b in itertools.pairwise(timed))


def measure_pace(recipe: Recipe, pack_size: int = 1, threads: int = 1) -> Pace:
    """Train a few steps of a recipe, in a pack of its like, and score dev. Keeps nothing of it."""
    torch.set_num_threads(threads)
    short = dataclasses.replace(
        recipe.trainer,
        max_steps=_WARM_UP + _TIMED,
        eval_strategy="steps",
        eval_steps=_WARM_UP + _TIMED,
    )
    recipe = dataclasses.replace(recipe, trainer=short)
    with tempfile.TemporaryDirectory(prefix="sweep-pace-") as scratch:
        clock = _Clock()
        base = base_of(recipe, scratch=scratch)
        count = 1 if why_alone(recipe) or base.draws_by_itself else pack_size
        runs = [Run(0, {}, like) for like in _of_its_like(recipe, count)]
        with Pack(base, runs) as pack, PeakMemory() as memory:
            shared = splits(recipe.model, recipe.data)
            keepers = {run.id: Keeper(run, Path(scratch) / run.id) for run in runs}
            trainer = PackTrainer(pack, keepers, shared, lambda event: None, scratch=scratch)
            trainer.add_callback(clock)
            trainer.train()
            seconds = [trainer.eval_seconds / count]
            # Runs without a correlation after so few steps have left the pack.
            if left := len(pack):
                trainer.evaluate()
                seconds.append(trainer.eval_seconds / left)
                # The few steps need not have met the longest pairs, which set the peak.
                trainer.probe()
    return Pace(clock.mean / count, min(seconds), memory.peak_mb)


def _of_its_like(recipe: Recipe, count: int) -> list[Recipe]:
    """Recipes that take as long, with ids of their own."""
    rate = recipe.trainer.learning_rate
    rates = [rate * (1 + place / 1000) for place in range(count)]
    return [
        dataclasses.replace(recipe, trainer=dataclasses.replace(recipe.trainer, learning_rate=r))
        for r in rates
    ]


def num_steps(recipe: Recipe, *, train_rows: int) -> tuple[int, int]:
    """Optimizer steps and evaluations of one run; the last step is always evaluated."""
    trainer = recipe.trainer
    batches = math.ceil(train_rows / trainer.per_device_train_batch_size)
    an_epoch = math.ceil(batches / trainer.gradient_accumulation_steps)
    steps = math.ceil(an_epoch * trainer.num_train_epochs)
    if trainer.max_steps > 0:
        steps = trainer.max_steps
    if trainer.eval_strategy == "epoch":
        return steps, math.ceil(steps / an_epoch)
    every = trainer.eval_steps or steps
    every = math.ceil(every * steps) if every < 1 else int(every)
    return steps, math.ceil(steps / every)
