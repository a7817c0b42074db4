"""An exported folder, loaded again: whether it scores what the sweep has measured."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sweep.core.arrays import Floats
from sweep.core.errors import ExportError, VerificationError
from sweep.core.files import lost_or_damaged
from sweep.core.metric import KNOWN, PEARSON, Metric
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.export.exported import (
    AGAIN,
    exported_pooling,
    load_adapted,
    load_exported_tokenizer,
    on_base,
    predicted,
    read_recipe,
)
from sweep.export.formats import FormatScore, format_scores, formats_in
from sweep.study.files import ExportedFiles
from sweep.train.scores import scores

#: Largest difference between the dev score of a sweep in float32 and of the exported adapter.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Verified:
    """The score on dev as measured by the sweep and by the exported adapter, and the word for it.

    `merged` is that of the merged model where it is another one: what was trained on a quantized
    base is merged into the float one. `formats` are those beside the adapter, held against it on
    the float base.
    """

    measured: float
    reloaded: float
    merged: float | None = None
    metric: str = PEARSON.word
    formats: tuple[FormatScore, ...] = ()

    @property
    def lines(self) -> list[str]:
        """What is to be said of everything beside the adapter."""
        found = [form.warning or form.in_words for form in self.formats]
        if self.merged is None:
            return found
        merged = f"merged into the float base: dev {self.metric} {self.merged:.6f}, another model"
        return [merged, *found]

    def in_words(self, quantization: str) -> str:
        """What a merged model scores beside its adapter; empty where that is the same."""
        if self.merged is None:
            return ""
        return (
            f"Merged into the float base it scores {self.merged:.4f} on dev, on the "
            f"{quantization} base that it was trained on {self.reloaded:.4f}."
        )


def verify(folder: Path, *, base: str | None = None) -> Verified:
    """Score dev with the exported adapter on a freshly loaded base, and with every form beside it.

    Args:
        base: Where the base model lies, if not where it was at the training.

    Raises:
        ExportError: the folder is not an exported one.
        VerificationError: the score differs by more than rounding explains.
    """
    recipe = on_base(read_recipe(folder), folder, base)
    measured, metric = measured_score(folder, recipe)
    tokenizer = load_exported_tokenizer(folder)
    dev = load_split(recipe.data, "dev")
    labels = dev.labels
    assert labels is not None
    pooling = exported_pooling(folder, recipe)

    def predictions(on: Recipe) -> Floats:
        model = load_adapted(folder, on, tokenizer)
        return predicted(model, dev, tokenizer, recipe.data, pooling=pooling)

    def agreed(found: float, expected: float, tolerance: float) -> float:
        return _agreed(found, expected, tolerance, folder)

    tolerance, own = score_tolerance(recipe, measured, labels), predictions(recipe)
    reloaded = agreed(scores(own, labels, metric)[0], measured, tolerance)
    if formats_in(folder) == ["adapter"]:
        return Verified(measured, reloaded, metric=metric.word)
    is_float = recipe.in_float == recipe
    in_float = own if is_float else predictions(recipe.in_float)
    formats = tuple(format_scores(folder, recipe, dev, in_float, metric))
    merged = next((form.score for form in formats if form.name == "merged"), None)
    if merged is not None and is_float:
        agreed(merged, measured, tolerance)
    elif merged is not None:
        least = _least_tolerance(recipe, labels)
        agreed(merged, scores(in_float, labels, metric)[0], least)
    return Verified(measured, reloaded, None if is_float else merged, metric.word, formats)


def _agreed(found: float, expected: float, tolerance: float, folder: Path) -> float:
    if not abs(found - expected) <= tolerance:
        raise VerificationError(
            f"The exported adapter scores {found:.6f} on dev, the sweep measured "
            f"{expected:.6f}: they must agree within {tolerance:g}. Folder: {folder}"
        )
    return found


def verify_on(folder: Path, threads: int) -> Verified:
    """`verify` on so many threads."""
    torch.set_num_threads(threads)
    return verify(folder)


def score_tolerance(recipe: Recipe, score: float, labels: Floats) -> float:
    """After 16 bits the score's sampling error: it is reloaded in float32, as its users will.

    Rounding moves the score of a good model by 1e-4, that of one that has learned nothing by more.
    """
    least = _least_tolerance(recipe, labels)
    if recipe.trainer.precision == "fp32":
        return least
    return max(least, (1 - score**2) / math.sqrt(len(labels) - 1))


def _least_tolerance(recipe: Recipe, labels: Floats) -> float:
    """Of classes, rounding turns an answer where two are as likely: one, in the smallest class."""
    if not recipe.task.of_classes:
        return TOLERANCE
    return max(TOLERANCE, 2 / float(np.unique(labels, return_counts=True)[1].min()))


def measured_score(folder: Path, recipe: Recipe) -> tuple[float, Metric]:
    """The score on dev, as the sweep has measured it, and what it is of.

    Of a metric that is somebody's own function the one beside it: a folder that comes from
    elsewhere has nothing called.
    """
    path, metric = ExportedFiles(folder).metrics, recipe.task.measure
    metric = metric if metric.source is None else KNOWN[metric.beside]
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))[metric.name]), metric
    except (OSError, ValueError, KeyError, TypeError):
        raise ExportError(
            f"`{path.name}` says what the sweep has measured.",
            value=lost_or_damaged(path),
            way_out=AGAIN,
        ) from None
