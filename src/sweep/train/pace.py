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
from sweep.train.runs import base_of
from sweep.train.splits import splits
from sweep.train.trainer import PackTrainer

#: The first steps are slower: matrix libraries prepare themselves for each shape.
_WARM_UP, _TIMED = 6, 10


@dataclass(frozen=True)
class Pace:
    """Seconds of a step and of an evaluation, and the peak of the memory in MB where known."""

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
    def median(self) -> float:
        timed = self.ends[_WARM_UP:]
        return statistics.median(b - a for a, b in itertools.pairwise(timed))


def measure_pace(recipe: Recipe, threads: int = 1) -> Pace:
    """Train a few steps of a recipe alone, and score dev. Keeps nothing of it."""
    torch.set_num_threads(threads)
    short = dataclasses.replace(
        recipe.trainer,
        max_steps=_WARM_UP + _TIMED,
        eval_strategy="steps",
        eval_steps=_WARM_UP + _TIMED,
    )
    recipe = dataclasses.replace(recipe, trainer=short)
    run = Run(0, {}, recipe)
    with tempfile.TemporaryDirectory(prefix="sweep-pace-") as scratch:
        clock = _Clock()
        with Pack(base_of(recipe, scratch=scratch), [run]) as pack, PeakMemory() as memory:
            shared = splits(recipe.model, recipe.data)
            keepers = {run.id: Keeper(run, Path(scratch) / run.id)}
            trainer = PackTrainer(pack, keepers, shared, lambda event: None, scratch=scratch)
            trainer.add_callback(clock)
            trainer.train()
            seconds = [trainer.eval_seconds]
            # A run without a correlation after so few steps has left the pack.
            if pack.runs:
                trainer.evaluate()
                seconds.append(trainer.eval_seconds)
                # The few steps need not have met the longest pairs, which set the peak.
                trainer.probe()
    return Pace(clock.median, min(seconds), memory.peak_mb)


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
