"""What a run is scored by, and when predictions have no score.

Where predictions of scores differ by rounding alone they have a correlation like any other numbers,
and it is one of rounding. So what differs by less counts as the same.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import pearsonr, spearmanr

from sweep.core.arrays import Floats
from sweep.core.metric import KNOWN, PEARSON, Metric
from sweep.stats.metrics import score

#: How far apart equal predictions come out, as a share of their size. In float32, after the sums of
#: a dozen layers: 32 times its last digit. The head is in float32 also where the base is in bf16,
#: and takes the mean over hundreds of rounded numbers: a fraction of the last digit.
_ROUNDING = {"fp32": 2.0**-18, "bf16": 2.0**-11, "fp16": 2.0**-14}
#: Predictions of which so many are the same are constant: the others decide the correlation alone.
_NEARLY_ALL = 0.9


def scores(
    predictions: Floats, labels: Floats, metric: Metric = PEARSON, *, precision: str = "fp32"
) -> tuple[float, float]:
    """By the metric and by the one beside it. Shapes `[N]` and `[N]`.

    NaN where there is no score: of scores, where one side has no variance.

    Args:
        precision: `fp32`, `bf16` or `fp16`, that the predictions were computed in.
    """
    if predictions.shape != labels.shape:
        raise ValueError(f"shapes differ: {predictions.shape} and {labels.shape}")
    flat = np.ptp(labels) == 0 and not metric.of_classes
    if flat or why_no_score(predictions, labels, metric, precision=precision):
        return math.nan, math.nan
    own, beside = (_value(one, predictions, labels) for one in (metric, KNOWN[metric.beside]))
    return own, beside


def _value(metric: Metric, predictions: Floats, labels: Floats) -> float:
    if metric.source is None and metric.name == "pearson":
        return float(pearsonr(predictions, labels).statistic)
    if metric.source is None and metric.name == "spearman":
        return float(spearmanr(predictions, labels).statistic)
    return score(metric, predictions, labels)


def why_no_score(
    predictions: Floats, labels: Floats, metric: Metric = PEARSON, *, precision: str = "fp32"
) -> str | None:
    """What is wrong with predictions `[N]` that have no score."""
    infinite = int((~np.isfinite(predictions)).sum())
    if infinite:
        return f"{infinite:,} of {len(predictions):,} predictions are no finite numbers"
    if metric.of_classes:
        return None
    same = _same_up_to_rounding(predictions, labels, precision)
    if same < max(2, math.ceil(_NEARLY_ALL * len(predictions))):
        return None
    but = f" but for {len(predictions) - same}" if same < len(predictions) else ""
    spread = f"they span {np.ptp(predictions):.1g}, the labels {np.ptp(labels):.3g}"
    return f"the predictions are constant up to rounding{but}: {spread}"


def _same_up_to_rounding(predictions: Floats, labels: Floats, precision: str) -> int:
    """How many predictions can't be told from the one in the middle.

    Sizes are those of the labels' scale, counted from the lowest label: on another scale the same
    predictions are as constant as on this one.
    """
    middle = float(np.median(predictions))
    size = float(np.abs(predictions - labels.min()).max())
    fine = _ROUNDING["fp32"] * max(size, float(np.ptp(labels)))
    # What 16 bits lose is lost of the predictions alone: early ones are small, and still tell.
    coarse = _ROUNDING.get(precision, 0.0) * abs(middle - float(labels.min()))
    return int((np.abs(predictions - middle) <= max(fine, coarse)).sum())
