"""How sure a score is: bootstrap over the dev pairs, paired between configs.

Seed noise is part of it only as far as configs were trained with several seeds: their scores
are averaged within each resample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Resamples: the 2.5 % quantile of 2,000 rests on 50 draws.
NUM_RESAMPLES = 2_000


@dataclass(frozen=True)
class Standing:
    """A config beside the others: 95 % interval of its score, and whether it ties the best."""

    ci_low: float
    ci_high: float
    tied_with_best: bool


def resampling_weights(num_items: int, *, seed: int = 0) -> Floats:
    """Share of each item in each bootstrap resample, `[NUM_RESAMPLES, num_items]`."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(num_items, np.full(num_items, 1 / num_items), size=NUM_RESAMPLES)
    return np.asarray(counts, dtype=np.float64) / num_items


def resampled_pearson(predictions: Floats, labels: Floats, weights: Floats) -> Floats:
    """Pearson of each resample. Shapes `[N]`, `[N]`, `[B, N]` to `[B]`.

    A resample without variance has no correlation and gives NaN.
    """
    p = predictions - predictions.mean()
    y = labels - labels.mean()
    mean_p, mean_y = weights @ p, weights @ y
    covariance = weights @ (p * y) - mean_p * mean_y
    variances = (weights @ (p * p) - mean_p**2) * (weights @ (y * y) - mean_y**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(covariance / np.sqrt(variances), dtype=np.float64)


def standings(
    predictions: Sequence[Sequence[Floats]], labels: Floats, *, best: int
) -> list[Standing]:
    """Percentile intervals, and ties with config `best` on the same resamples.

    Args:
        predictions: For each config, the dev predictions `[N]` of each of its seeds.
        labels: Dev labels `[N]`.
        best: Index of the config that the others are compared with.

    A config ties the best when the 95 % interval of the paired difference holds 0.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
    """
    weights = resampling_weights(len(labels))
    scores = [
        np.mean([resampled_pearson(run, labels, weights) for run in runs], axis=0)
        for runs in predictions
    ]
    return [_standing(score, scores[best]) for score in scores]


def _standing(score: Floats, best: Floats) -> Standing:
    low, high = np.nanquantile(score, [0.025, 0.975])
    margin = np.nanquantile(best - score, 0.025)
    return Standing(float(low), float(high), bool(margin <= 0))
