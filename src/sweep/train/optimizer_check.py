"""Whether an optimizer and a schedule can be built: tried on one weight, before anything trains."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import replace

import torch
from torch import nn
from transformers import SchedulerType
from transformers.training_args import OptimizerNames

from sweep.core.errors import ConfigError
from sweep.core.recipe import Trainer
from sweep.train.optimizers import RunOptimizer
from sweep.train.trainer import training_arguments

#: What transformers' names need nothing for: no package, no arguments that can't be set here.
OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adafactor", "adagrad", "rmsprop", "sgd")
SCHEDULES = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
)
_UNKNOWN = "transformers knows no such name"
#: Length of the schedule that is tried.
_STEPS = 100


def check_optimizer(optim: str, schedule: str) -> None:
    """Build an optimizer and a schedule as a run would; `schedule` is its `lr_scheduler_type`.

    Raises:
        ConfigError: one of them is unknown, lacks a package, or needs what can't be set.
    """
    # Each with the default of the other one, so that the blame is clear.
    known = {name.value for name in OptimizerNames}
    said = _trouble_with(Trainer(optim=optim)) if optim in known else _UNKNOWN
    _refuse("trainer.optim", optim, said, OPTIMIZERS)
    known = {name.value for name in SchedulerType}
    said = _trouble_with(Trainer(lr_scheduler_type=schedule)) if schedule in known else _UNKNOWN
    _refuse("trainer.lr_scheduler_type", schedule, said, SCHEDULES)


def _refuse(key: str, value: str, said: str | None, plain: Collection[str]) -> None:
    if said is None:
        return
    near = difflib.get_close_matches(value, plain, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    raise ConfigError(
        f"`{key}` must work without arguments, with the packages that are installed.",
        value=f"{value}: {said}",
        way_out=f"{hint}these always work: {', '.join(plain)}",
    )


def _trouble_with(trainer: Trainer) -> str | None:
    """What goes wrong, in a line, in the first step of training one weight."""
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    try:
        # `use_cpu`: a GPU is for the workers.
        args = training_arguments(replace(trainer, use_cpu=True), seed=0, scratch="never-written")
        member = RunOptimizer.of(
            args, {"weight": weight}, decayed=["weight"], lr_ratio=1.0, steps=_STEPS
        )
        # Some of a GPU's optimizers can be built on a CPU, and no more.
        if not torch.cuda.is_available():
            member.step()
            member.schedule.step()
    # Any: every library that may be missing or ill-used has errors of its own.
    except Exception as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return None
