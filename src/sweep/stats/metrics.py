"""Scores of predictions, and of them on weighted items: what a bootstrap asks for."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import rankdata

from sweep.core.arrays import Floats
from sweep.core.errors import ConfigError
from sweep.core.metric import Metric
from sweep.core.own_metrics import VARIABLE, is_trusted

#: Called with labels `[N]` and predictions `[N]`, as scikit-learn's metrics are.
Function = Callable[[Floats, Floats], float]
#: Cells of a table that is held at a time, for the sake of memory.
_CELLS = 4_000_000


def score(metric: Metric, predictions: Floats, labels: Floats) -> float:
    """Score of one run. Shapes `[N]` and `[N]`."""
    if metric.source is not None:
        return _called(metric.source, labels, predictions)
    if metric.name == "pearson":
        return float(np.corrcoef(predictions, labels)[0, 1])
    weights = np.full((1, len(labels)), 1 / len(labels))
    return float(resampled(metric, predictions, labels, weights)[0])


def resampled(metric: Metric, predictions: Floats, labels: Floats, weights: Floats) -> Floats:
    """Score of each run on each resample. Shapes `[..., N]`, `[N]`, `[B, N]` to `[B, ...]`.

    A resample that has no score gives NaN.

    Args:
        weights: The share of each item.
    """
    if metric.name == "pearson" and metric.source is None:
        return resampled_pearson(predictions, labels, weights)
    runs = np.atleast_2d(predictions)
    if metric.source is not None:
        shared = _Weights.of(weights)
        known = np.asarray(labels, dtype=np.float64).tobytes()
        rows = [np.asarray(run, dtype=np.float64).tobytes() for run in runs]
        found = [_by_function(metric.source, run, known, shared) for run in rows]
    else:
        found = _OWN[metric.name](runs, labels, weights)
    scores = np.stack(found, axis=1)
    return scores.reshape(len(weights), *predictions.shape[:-1])


def function_of(source: str) -> Function:
    """The function that `module:function` names.

    Raises:
        ConfigError: there is none, or the user has never named it: a study may be a stranger's.
    """
    if not is_trusted(source):
        raise ConfigError(
            "A function as metric is called where you have named it yourself: it is code.",
            value=f"{source}, which the study's folder names",
            way_out=f"if it is yours, set {VARIABLE}={source}",
        )
    module, _, name = source.partition(":")
    try:
        function: Function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            "`task.metric` must name a function that can be imported, as `module:function`.",
            value=f"{source}: {error}",
            way_out="start the sweep where `python -c 'import MODULE'` works",
        ) from None
    if not callable(function):
        raise ConfigError("`task.metric` must name a function.", value=source)
    return function


def resampled_pearson(predictions: Floats, labels: Floats, weights: Floats) -> Floats:
    """Pearson of each run on each resample. Shapes `[..., N]`, `[N]`, `[B, N]` to `[B, ...]`.

    A resample without variance has no correlation and gives NaN.
    """
    p = predictions - predictions.mean(axis=-1, keepdims=True)
    # Constant predictions are constant also where their mean is rounded.
    p = np.where(np.ptp(predictions, axis=-1, keepdims=True) > 0, p, 0.0)
    p = p / np.maximum(p.std(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    y = (labels - labels.mean()) / max(labels.std(), np.finfo(np.float64).tiny)
    mean_p, mean_y = weights @ p.T, (weights @ y).reshape(-1, *[1] * (p.ndim - 1))
    square_y = (weights @ (y * y)).reshape(mean_y.shape)
    covariance = weights @ (p * y).T - mean_p * mean_y
    variance_p, variance_y = weights @ (p * p).T - mean_p**2, square_y - mean_y**2
    variances = np.where((variance_p > 1e-12) & (variance_y > 1e-12), variance_p * variance_y, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = covariance / np.sqrt(variances)
    return np.where(variances > 0, np.clip(scores, -1, 1), np.nan)


def _spearman(runs: Floats, labels: Floats, weights: Floats) -> list[Floats]:
    """Pearson of the ranks that the items have in each resample, ties in the middle."""
    found = [np.empty(len(weights)) for _ in runs]
    rows = max(1, _CELLS // len(labels))
    for start in range(0, len(weights), rows):
        some = weights[start : start + rows]
        ranks = _ranks(labels, some)
        for place, run in zip(found, runs, strict=True):
            place[start : start + rows] = _correlation(_ranks(run, some), ranks, some)
    return found


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Middle of the share of items `[B, N]` that each value `[N]` takes up, in order."""
    group = rankdata(values, method="dense") - 1
    order = np.argsort(group, kind="stable")
    firsts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.add.reduceat(weights[:, order], firsts, axis=1)
    return np.asarray((np.cumsum(sizes, axis=1) - sizes / 2)[:, group])


def _correlation(one: Floats, other: Floats, weights: Floats) -> Floats:
    """Row by row, `[B, N]` each to `[B]`."""
    # The middle of all shares is one half, whatever the weights are.
    x, y = one - 0.5, other - 0.5
    products = [np.einsum("bn,bn,bn->b", weights, a, b) for a, b in ((x, y), (x, x), (y, y))]
    variances = np.where(
        (products[1] > 1e-12) & (products[2] > 1e-12), products[1] * products[2], 0
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        found = products[0] / np.sqrt(variances)
    return np.where(variances > 0, np.clip(found, -1, 1), np.nan)


def _accuracy(runs: Floats, labels: Floats, weights: Floats) -> list[Floats]:
    return list((weights @ (runs == labels).T).T)


def _macro_f1(runs: Floats, labels: Floats, weights: Floats) -> list[Floats]:
    """Mean over the classes that a resample has, as labels or as predictions, of F1: van
    Rijsbergen, Information Retrieval (1979), chapter 7; as scikit-learn's `f1_score`."""
    found = []
    for run in runs:
        right, given, there = _shares(run, labels, weights)
        known = given + there
        with np.errstate(divide="ignore", invalid="ignore"):
            by_class = np.where(known > 0, 2 * right / known, 0.0)
        found.append(by_class.sum(1) / np.maximum((known > 0).sum(1), 1))
    return found


def _mcc(runs: Floats, labels: Floats, weights: Floats) -> list[Floats]:
    """Matthews' correlation for several classes: Gorodkin, Computational Biology and Chemistry 28
    (2004), 367-374; 0 where all predictions or all labels are of one class."""
    found = []
    for run in runs:
        right, given, there = _shares(run, labels, weights)
        covariance = right.sum(1) - (given * there).sum(1)
        variances = (1 - (given**2).sum(1)) * (1 - (there**2).sum(1))
        varies = variances > 1e-12
        found.append(np.where(varies, covariance / np.sqrt(np.where(varies, variances, 1)), 0.0))
    return found


def _shares(run: Floats, labels: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each class `[B, C]`: what is right, what is predicted, what there is."""
    classes = np.unique(np.concatenate([labels, run]))
    given, there = run[:, None] == classes, labels[:, None] == classes
    return weights @ (given & there), weights @ given, weights @ there


@dataclass(frozen=True)
class _Weights:
    """Of resamples; those of one size and with one last row are the same."""

    size: int
    last: bytes
    rows: Floats = field(compare=False)

    @classmethod
    def of(cls, rows: Floats) -> _Weights:
        return cls(len(rows), rows[-1].tobytes(), rows)


@functools.lru_cache(maxsize=512)
def _by_function(source: str, run: bytes, labels: bytes, weights: _Weights) -> Floats:
    """Kept: somebody's function may take its time, and tables are written again and again."""
    predicted, wanted = np.frombuffer(run), np.frombuffer(labels)
    counts = np.rint(weights.rows * len(wanted)).astype(int)
    items = (np.repeat(np.arange(len(wanted)), times) for times in counts)
    # Not found: that is said once, not counted as a resample without a score.
    function_of(source)
    found = np.array([_on_resample(source, wanted[some], predicted[some]) for some in items])
    found.setflags(write=False)
    return found


def _called(source: str, labels: Floats, predictions: Floats) -> float:
    function = function_of(source)
    try:
        return float(function(labels, predictions))
    except (ValueError, ZeroDivisionError, FloatingPointError):
        # Some resamples leave a single class, or nothing that varies.
        return float("nan")


def _on_resample(source: str, labels: Floats, predictions: Floats) -> float:
    """NaN where it raises, whatever that is: the scores of the runs themselves are there."""
    try:
        return _called(source, labels, predictions)
    except Exception:
        return float("nan")


_OWN: dict[str, Callable[[Floats, Floats, Floats], list[Floats]]] = {
    "spearman": _spearman,
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "mcc": _mcc,
}
