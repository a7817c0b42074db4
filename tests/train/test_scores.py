"""The correlations that a run is scored by, and predictions that have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from odd_models import bert, write_pairs
from packs import train
from sweep.core.recipe import Data, Lora, Model, Recipe, Trainer
from sweep.loop.trial import RunState
from sweep.train.scores import scores, why_no_score

RNG = np.random.default_rng(0)
LABELS = RNG.uniform(0, 1, 48)


def test_undefined_correlation_is_nan_and_never_zero() -> None:
    labels = np.array([1.0, 2.0, 3.0])
    for predictions in ([2.0, 2.0, 2.0], [1.0, np.nan, 2.0], [1.0, np.inf, 2.0]):
        pearson, spearman = scores(np.array(predictions), labels)
        assert np.isnan(pearson)
        assert np.isnan(spearman)


def test_scores_refuse_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        scores(np.zeros((3, 1)), np.zeros(3))


def around(middle: float, spread: float) -> Any:
    return middle + spread * RNG.standard_normal(48)


def in_type(values: Any, kind: torch.dtype) -> Any:
    return torch.tensor(values).to(kind).double().numpy()


CONSTANT = {
    "rounding of float32": (in_type(around(0.5, 3e-8), torch.float32), "fp32"),
    "rounding of float32, large": (in_type(around(1e6, 0.1), torch.float32), "fp32"),
    "small and alike": (around(1e-6, 1e-8), "fp32"),
    "next to nothing": (around(0, 1e-12), "fp32"),
    "rounding of bf16": (in_type(around(0.5, 1e-4), torch.bfloat16), "bf16"),
    "under a last digit of bf16": (around(0.5, 5e-5), "bf16"),
    "one unlike pair": (np.r_[0.9, around(0.5, 3e-8)[1:]], "fp32"),
    "two unlike pairs": (np.r_[0.9, -3.0, around(0.5, 3e-8)[2:]], "fp32"),
}


@pytest.mark.parametrize("case", CONSTANT)
@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.0, 5.0), (-1.0, 2.0), (1000.0, 5.0)])
def test_predictions_that_differ_by_rounding_are_constant(
    case: str, scale: tuple[float, float]
) -> None:
    low, width = scale
    predictions, precision = CONSTANT[case]
    given = (low + width * predictions, low + width * LABELS)
    reason = why_no_score(*given, precision=precision)
    assert reason is not None
    assert "constant up to rounding" in reason
    assert ("but for" in reason) is ("unlike" in case)
    assert np.isnan(scores(*given, precision=precision)).all()


DIFFERENT = {
    "learned": (LABELS + around(0, 0.1), "fp32"),
    "learned, in bf16": (in_type(LABELS + around(0, 0.1), torch.bfloat16), "bf16"),
    "hardly begun": (around(0.5, 1e-3), "fp32"),
    "hardly begun, from nothing": (around(0.0, 1e-4), "fp32"),
    "hardly begun, in bf16": (around(0.5, 5e-3), "bf16"),
    "hardly begun, from nothing, in bf16": (around(0.0, 5e-3), "bf16"),
    "two levels": (np.r_[np.full(24, 0.2), np.full(24, 0.8)], "fp32"),
    "an eighth unlike": (np.r_[around(0.1, 0.05)[:6], np.full(42, 0.5)], "fp32"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_predictions_that_differ_by_more_are_scored(case: str) -> None:
    predictions, precision = DIFFERENT[case]
    assert why_no_score(predictions, LABELS, precision=precision) is None
    assert np.isfinite(scores(predictions, LABELS, precision=precision)).all()


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_few_rows_are_scored_as_long_as_they_differ(rows: int) -> None:
    labels = np.linspace(0, 1, rows)
    one_apart = np.r_[0.9, np.full(rows - 1, 0.4)]
    assert why_no_score(one_apart, labels) is None
    assert why_no_score(np.full(rows, 0.4), labels) is not None


def test_what_is_not_finite_has_words_of_its_own() -> None:
    predictions = around(0.5, 0.1)
    predictions[3] = np.inf
    reason = why_no_score(predictions, LABELS)
    assert reason == "1 of 48 predictions are no finite numbers"


# -- trained -----------------------------------------------------------------------------------


def without_classifier(folder: Path) -> Path:
    """A model whose head starts at 0 and, at a tiny learning rate, stays there."""
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: t * (0 if name.startswith("classifier") else 1) for name, t in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    return folder


@pytest.fixture
def still(tmp_path: Path) -> Recipe:
    folder = without_classifier(bert(tmp_path / "model"))
    files = {
        split: str(write_pairs(tmp_path / f"{split}.jsonl", rows, rows))
        for split, rows in (("train", 64), ("dev", 48))
    }
    short = Trainer(learning_rate=1e-6, max_steps=4, eval_strategy="steps", eval_steps=2)
    return Recipe(
        Model(path=str(folder)),
        Data(source="files", **files),
        Lora(r=2),
        replace(short, per_device_train_batch_size=8),
    )


@pytest.mark.trains
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("lora", [Lora(r=2), Lora(r=2, use_dora=True)], ids=["packed", "alone"])
def test_run_that_predicts_one_number_fails_with_words_for_it(
    still: Recipe, tmp_path: Path, precision: str, lora: Lora
) -> None:
    trainer = replace(still.trainer, precision=precision)  # type: ignore[arg-type]
    outcome = train(replace(still, trainer=trainer, lora=lora), tmp_path / "runs")
    assert outcome.state is RunState.FAILED
    assert outcome.score is None
    assert outcome.reason is not None
    assert "constant up to rounding" in outcome.reason
    assert "finite" not in outcome.reason
    assert outcome.recurs


@pytest.mark.trains
def test_same_run_with_a_usual_learning_rate_is_scored(still: Recipe, tmp_path: Path) -> None:
    usual = replace(still, trainer=replace(still.trainer, learning_rate=1e-3))
    assert train(usual, tmp_path / "runs").state is RunState.COMPLETE
