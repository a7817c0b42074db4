"""What an exported adapter says of pairs, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweep.core.arrays import Floats
from sweep.core.metric import KNOWN
from sweep.core.recipe import Recipe
from sweep.data.classes import class_names
from sweep.train.scores import scores, why_no_score


@dataclass(frozen=True, eq=False)
class Answers:
    """Rows of a file with their predictions `[N]`, NaN where `problems` say why there is none.

    `text_b` is None of single sentences. Of classes, a prediction is a number, and `shares`
    `[N, C]` are the probabilities of all.
    """

    text_a: Sequence[str]
    text_b: Sequence[str] | None
    predictions: Floats
    problems: Sequence[str | None]
    shares: Floats | None = None


def table_of(
    answers: Answers,
    labels: Floats | None,
    classes: Sequence[str] | None,
    *,
    with_problems: bool,
) -> pd.DataFrame:
    """Texts, labels where there are some, and predictions; classes go by their names, and each has
    a column `p_NAME` with its probability."""
    table = pd.DataFrame({"text_a": answers.text_a}, dtype=object)
    if answers.text_b is not None:
        table["text_b"] = answers.text_b
    if labels is not None:
        table["label"] = _named(labels, classes)
    table["prediction"] = _named(answers.predictions, classes)
    if answers.shares is not None and classes is not None:
        for name, share in zip(classes, answers.shares.T, strict=True):
            table[f"p_{name}"] = share
    if with_problems:
        table["problem"] = pd.Series(list(answers.problems), dtype=object)
    return table


def _named(numbers: Floats, classes: Sequence[str] | None) -> Floats | list[str | None]:
    if classes is None:
        return numbers
    known = np.isfinite(numbers)
    names = class_names(np.where(known, numbers, 0), classes)
    return [name if is_known else None for name, is_known in zip(names, known, strict=True)]


def scores_in_words(recipe: Recipe, labels: Floats | None, predictions: Floats) -> str | None:
    """What the predictions score, where the pairs have labels.

    A metric that is somebody's own function is not called: the folder may come from anywhere.
    """
    if labels is None:
        return None
    metric = recipe.task.measure
    metric = metric if metric.source is None else KNOWN[metric.beside]
    reason = why_no_score(predictions, labels, metric)
    if reason:
        return f"no {'score' if metric.of_classes else 'correlation'}: {reason}"
    found = zip((metric, KNOWN[metric.beside]), scores(predictions, labels, metric), strict=True)
    said = ", ".join(f"{one.word} {value:.4f}" for one, value in found)
    return said[0].upper() + said[1:]
