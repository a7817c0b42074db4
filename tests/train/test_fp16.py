"""fp16, emulated on a CPU: near float32, each run with a loss scale of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import TrainingArguments

from packs import adapter_of, predictions_of, train_together
from sweep.core.recipe import Recipe
from sweep.loop.trial import RunState
from sweep.train.optimizers import RunOptimizer
from sweep.train.precision import resolve_precision


def of_rank(recipe: Recipe, r: int, **lora: Any) -> Recipe:
    trainer = replace(recipe.trainer, precision="fp16", eval_steps=6)
    return replace(
        recipe, lora=replace(recipe.lora, r=r, lora_dropout=0.0, **lora), trainer=trainer
    )


@pytest.mark.trains
def test_pack_in_fp16_is_near_float32_and_one_run_s_overflow_touches_no_other(
    recipe: Recipe, tmp_path: Path
) -> None:
    good, usual = of_rank(recipe, 4), of_rank(recipe, 8)
    # What it adds is beyond the largest float16 once it has learned anything.
    bad = of_rank(recipe, 8, lora_alpha=1e8)
    train_together([good, usual], tmp_path / "well")
    outcomes = train_together([good, bad], tmp_path / "beside")
    assert outcomes[0].state is RunState.COMPLETE
    assert outcomes[1].state is RunState.FAILED
    beside, well = adapter_of(good, tmp_path / "beside"), adapter_of(good, tmp_path / "well")
    assert all(torch.equal(beside[name], well[name]) for name in well)
    whole = replace(good, trainer=replace(good.trainer, precision="fp32"))
    train_together([whole], tmp_path / "fp32")
    found, expected = (
        predictions_of(good, tmp_path / "well"),
        predictions_of(whole, tmp_path / "fp32"),
    )
    low, high = recipe.data.label_range
    assert np.abs(found - expected).max() < 0.01 * (high - low)
    assert not np.array_equal(found, expected)


def optimizer_of(parameter: nn.Parameter, folder: Path) -> RunOptimizer:
    args = TrainingArguments(output_dir=str(folder), learning_rate=1e-2, report_to="none")
    return RunOptimizer.of(
        args, {"w": parameter}, decayed=["w"], lr_ratio=1.0, steps=10, in_fp16=True
    )


def step(member: RunOptimizer, slope: float) -> None:
    """One whose gradient is `slope` before scaling."""
    (weight,) = member.parameters
    weight.grad = None
    member.scaled((weight * slope).sum()).backward()  # type: ignore[no-untyped-call]
    member.step()
    if not member.skipped:
        member.schedule.step()


def test_overflow_leaves_weights_schedule_and_moments_and_halves_the_scale(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.ones(3))
    member = optimizer_of(weight, tmp_path)
    assert member.scaler is not None
    step(member, 1.0)
    kept, rate = weight.detach().clone(), member.schedule.get_last_lr()
    scale, moments = member.scaler.get_scale(), member.optimizer.state[weight]["exp_avg"].clone()
    step(member, 1e38)
    assert member.skipped
    assert torch.equal(weight, kept)
    assert member.schedule.get_last_lr() == rate
    assert torch.equal(member.optimizer.state[weight]["exp_avg"], moments)
    assert member.scaler.get_scale() == scale / 2
    step(member, 1.0)
    assert not member.skipped
    assert not torch.equal(weight, kept)


def test_scaled_steps_are_those_of_an_unscaled_optimizer(tmp_path: Path) -> None:
    one, other = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    scaled, plain = optimizer_of(one, tmp_path), optimizer_of(other, tmp_path)
    plain.scaler = None
    for slope in (1.0, -0.5, 2e-6):
        step(scaled, slope)
        step(plain, slope)
    assert torch.allclose(one, other, rtol=0, atol=1e-7)


def test_auto_takes_fp16_on_a_gpu_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert resolve_precision("auto") == "fp16"
    assert resolve_precision("auto", use_cpu=True) != "fp16"
