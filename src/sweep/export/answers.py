"""What an exported adapter says of pairs, as a table for people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sweep.core.arrays import Floats
from sweep.core.metric import KNOWN
from sweep.data.classes import class_names
from sweep.data.pairs import Pairs
from sweep.export.exported import read_recipe
from sweep.train.scores import scores, why_no_score


def table_of_answers(folder: Path, pairs: Pairs, predictions: Floats) -> pd.DataFrame:
    """Texts, labels where there are some, and predictions `[N]`; classes go by their names."""
    classes = read_recipe(folder).data.classes
    table = pd.DataFrame({"text_a": pairs.text_a})
    if not pairs.single:
        table["text_b"] = pairs.text_b
    if pairs.labels is not None:
        known = pairs.labels
        table["label"] = known if classes is None else class_names(known, classes)
    answers = predictions if classes is None else class_names(predictions, classes)
    return table.assign(prediction=answers)


def scores_in_words(folder: Path, pairs: Pairs, predictions: Floats) -> str | None:
    """What the predictions score, where the pairs have labels.

    A metric that is somebody's own function is not called: the folder may come from anywhere.
    """
    if pairs.labels is None:
        return None
    metric = read_recipe(folder).task.measure
    metric = metric if metric.source is None else KNOWN[metric.beside]
    reason = why_no_score(predictions, pairs.labels, metric)
    if reason:
        return f"no {'score' if metric.of_classes else 'correlation'}: {reason}"
    found = zip(
        (metric, KNOWN[metric.beside]), scores(predictions, pairs.labels, metric), strict=True
    )
    said = ", ".join(f"{one.word} {value:.4f}" for one, value in found)
    return said[0].upper() + said[1:]
