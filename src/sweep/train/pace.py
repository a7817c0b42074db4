"""How long a training takes here, found out by a few steps of it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from sweep.core.recipe import Recipe
from sweep.loop.trial import Run
from sweep.lora.packable import why_alone
from sweep.lora.whole import AnyPack, pack_of
from sweep.train.glimpses import glimpse_steps, glimpsed_share
from sweep.train.keeper import Keeper
from sweep.train.memory import PeakMemory
from sweep.train.runs import base_of
from sweep.train.splits import splits
from sweep.train.trainer import PackTrainer

#: The first steps are slower: matrix libraries prepare themselves for each shape.
_WARM_UP, _TIMED = 6, 12
#: Of a large model on a CPU a step takes as long as a whole plan does of a small one: after so many
#: seconds, two steps must do, and a small part of dev. What is slower at first is little beside it.
_ENOUGH_SECONDS, _FEWEST = 12.0, 2


@dataclass(frozen=True)
class Pace:
    """What was seen of a few steps of a pack: seconds of one of its runs in the mean.

    Args:
        tried: The runs' recipes, of one `pack_key`.
        start_seconds: What the first steps and the first evaluation take longer than later ones.
        step_seconds: Of a step with as many tokens as steps have on average.
        peak_memory_mb: Of the worker with the whole pack; None where it can't be measured.
    """

    tried: tuple[Recipe, ...]
    start_seconds: float
    step_seconds: float
    eval_seconds: float
    peak_memory_mb: float | None
    glimpse_seconds: float = 0.0

    def run_seconds(self, *, train_rows: int) -> float:
        """Of one run, evaluations included."""
        steps, evaluations = num_steps(self.tried[0], train_rows=train_rows)
        # Where dev is scored there is no glimpse; the last evaluation is behind all of them.
        glimpses = max(0, len(glimpse_steps(steps)) - evaluations + 1)
        between = steps * self.step_seconds + glimpses * self.glimpse_seconds
        return self.start_seconds + between + evaluations * self.eval_seconds


class _Clock(TrainerCallback):
    """When each step ended, and how many tokens had been trained on by then.

    Ends the training before its evaluation where steps take long.
    """

    def __init__(self, trainer: PackTrainer) -> None:
        self._trainer = trainer
        self.ends = [time.perf_counter()]
        self.tokens = [0]
        self.is_cut = False

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._trainer.args.device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        self.tokens.append(self._trainer.tokens)
        if state.global_step >= _FEWEST and self.ends[-1] - self.ends[0] > _ENOUGH_SECONDS:
            self.is_cut = control.should_training_stop = True

    @property
    def _warm_up(self) -> int:
        """Steps that are not counted."""
        return min(_WARM_UP, (len(self.ends) - 1) // _FEWEST)

    def step_seconds(self, tokens: float) -> float:
        """Of a later step of so many tokens.

        The mean, not the median: long batches, and shapes that occur for the first time, count.
        """
        seconds = self.ends[-1] - self.ends[self._warm_up]
        return seconds * tokens / (self.tokens[-1] - self.tokens[self._warm_up])

    def start_seconds(self) -> float:
        """What the first steps took longer than the later ones, token by token."""
        later = self.step_seconds(self.tokens[self._warm_up])
        return max(0.0, self.ends[self._warm_up] - self.ends[0] - later)


def measure_pace(recipes: Sequence[Recipe], threads: int = 1) -> Pace:
    """Train a few steps of a pack, and score dev. Keeps nothing of it.

    What can't be packed is measured by the first recipe alone.
    """
    torch.set_num_threads(threads)
    first = recipes[0]
    with tempfile.TemporaryDirectory(prefix="sweep-pace-") as scratch:
        base = base_of(first, scratch=scratch)
        tried = tuple(recipes[:1] if why_alone(first) or base.draws_by_itself else recipes)
        runs = [Run(place, {}, _cut_short(recipe)) for place, recipe in enumerate(tried)]
        shared = splits(first.model, first.data, first.task.encoder)
        begun = time.perf_counter()
        with pack_of(base, runs, shared.train) as pack, PeakMemory(base.device) as memory:
            begun = time.perf_counter() - begun
            keepers = {run.id: Keeper(run, Path(scratch) / run.id) for run in runs}
            trainer = PackTrainer(pack, keepers, shared, lambda event: None, scratch=scratch)
            clock = _Clock(trainer)
            trainer.add_callback(clock)
            trainer.train()
            evaluations = _evaluations(trainer, pack, runs=len(tried), is_cut=clock.is_cut)
            if len(pack):
                # The few steps need not have met the batch that sets the peak.
                trainer.probe(trainer.heaviest_batch(_most_batches(first)))
    tokens_a_step = float(np.mean(shared.train.lengths)) * _rows_a_step(first)
    return Pace(
        tried,
        start_seconds=(begun + clock.start_seconds()) / len(tried)
        + evaluations[0]
        - evaluations[-1],
        step_seconds=clock.step_seconds(tokens_a_step) / len(tried),
        eval_seconds=evaluations[-1],
        peak_memory_mb=memory.peak_mb,
        glimpse_seconds=evaluations[-1] * glimpsed_share(len(shared.dev)),
    )


def _evaluations(trainer: PackTrainer, pack: AnyPack, *, runs: int, is_cut: bool) -> list[float]:
    """Seconds of a run's first evaluation and of a later one; one figure where steps take long."""
    if is_cut:
        return [trainer.expected_eval_seconds() / len(pack)]
    seconds = [trainer.eval_seconds / runs]
    # Runs without a correlation after so few steps have left the pack.
    if left := len(pack):
        trainer.evaluate()
        seconds.append(trainer.eval_seconds / left)
    return seconds


def _cut_short(recipe: Recipe) -> Recipe:
    steps = _WARM_UP + _TIMED
    short = replace(recipe.trainer, max_steps=steps, eval_strategy="steps", eval_steps=steps)
    return replace(recipe, trainer=short)


def _rows_a_step(recipe: Recipe) -> int:
    trainer = recipe.trainer
    return trainer.per_device_train_batch_size * trainer.gradient_accumulation_steps


def _most_batches(recipe: Recipe) -> int | None:
    """That the training sees at most; None: all there are."""
    trainer = recipe.trainer
    return (
        trainer.max_steps * trainer.gradient_accumulation_steps if trainer.max_steps > 0 else None
    )


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
