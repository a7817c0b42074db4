"""Optimizers and schedules that no run could be trained with are refused before training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import SchedulerType
from transformers.training_args import OptimizerNames

from packs import train
from sweep.commands.cli import run_command
from sweep.core.errors import ConfigError
from sweep.core.recipe import Recipe, Trainer, check_ranges
from sweep.loop.trial import RunState
from sweep.train.optimizer_check import OPTIMIZERS, SCHEDULES, check_optimizer


@pytest.mark.trains
@pytest.mark.parametrize("key", ["optim", "lr_scheduler_type"])
def test_what_is_let_through_trains_and_the_rest_is_refused(
    key: str, recipe: Recipe, tmp_path: Path
) -> None:
    kinds = OptimizerNames if key == "optim" else SchedulerType
    accepted = set()
    for name in (kind.value for kind in kinds):
        one = replace(recipe, trainer=replace(recipe.trainer, **{key: name}))
        try:
            check_ranges(replace(one, model=replace(one.model, path="x")))
            check_optimizer(one.trainer.optim, one.trainer.lr_scheduler_type)
        except ConfigError:
            continue
        accepted.add(name)
        assert train(one, tmp_path).state is RunState.COMPLETE
    assert accepted >= set(OPTIMIZERS if key == "optim" else SCHEDULES)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("optim", "adamw_troch", "did you mean `adamw_torch`?"),
        ("optim", "lomo", "lomo-optim"),
        ("lr_scheduler_type", "cosin", "did you mean `cosine`?"),
        ("lr_scheduler_type", "cosine_with_min_lr", "min_lr"),
        ("lr_scheduler_type", "warmup_stable_decay", "num_decay_steps"),
    ],
)
def test_refusal_names_the_key_the_reason_and_what_works(key: str, value: str, said: str) -> None:
    changed = replace(Trainer(), **{key: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        check_optimizer(changed.optim, changed.lr_scheduler_type)
    message = str(caught.value)
    for part in (f"`trainer.{key}`", value, said, "these always work: "):
        assert part in message


@pytest.mark.parametrize(
    "bad", ["trainer.optim:[adamw_torch,lomo]", "trainer.lr_scheduler_type:[linear,linaer]"]
)
def test_label_deep_in_the_space_is_refused_before_anything_is_made(
    bad: str, home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*arguments, f"search.space={{lora.r:[2],{bad}}}"]) == 2
    assert "these always work" in capfd.readouterr().err
    assert not (home / "results").exists()
