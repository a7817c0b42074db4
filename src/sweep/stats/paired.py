"""Scores of one config, and of two on the same items, with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.metric import PEARSON, Metric
from sweep.stats.comparison import ERROR
from sweep.stats.interval import Interval
from sweep.stats.metrics import resampled, score
from sweep.stats.statistics import Sample, compare, resampling_weights


def mean_score(predictions: Sequence[Floats], labels: Floats, metric: Metric = PEARSON) -> Interval:
    """Mean score of a config's runs, these and no others. Shapes `[N]` of each run, `[N]`."""
    value = float(np.mean([score(metric, run, labels) for run in predictions]))
    weights = resampling_weights(len(labels))
    scores = [resampled(metric, run, labels, weights) for run in predictions]
    return _interval(value, np.asarray(np.mean(scores, axis=0), dtype=np.float64))


def mean_with_luck(
    sample: Sample, labels: Floats, *, luck: Sequence[Sample], metric: Metric = PEARSON
) -> Interval:
    """Mean score of a config as a ranking has it: with the luck of its seeds.

    Args:
        luck: Configs that it is told by; none leave it out.
    """
    found = compare([sample], labels, noise_from=list(luck) or None, metric=metric)
    low, high = found.intervals()[0]
    return Interval(float(found.means[0]), float(low), float(high))


@dataclass(frozen=True, eq=False)
class SeedLuck:
    """What the luck of the seeds is told by: configs with several of them, and their items' labels.

    Two configs alone know it too badly to be told apart: with two seeds each that they share, one
    degree of freedom is left.
    """

    samples: tuple[Sample, ...]
    labels: Floats


def paired_difference(
    one: Sample,
    other: Sample,
    labels: Floats,
    *,
    luck: SeedLuck | None = None,
    metric: Metric = PEARSON,
) -> Interval:
    """Mean score of `one` minus that of `other`, both on the same resamples of the items.

    Args:
        luck: Of the seeds; None takes the two, and leaves it out where each has one seed.
    """
    found = compare(
        [one, other],
        labels,
        noise_from=luck.samples if luck else None,
        noise_labels=luck.labels if luck else None,
        metric=metric,
    )
    value = float(found.means[0] - found.means[1])
    return _interval(value, value + found.deviations[:, 0] - found.deviations[:, 1])


def difference_of_studies(
    one: Sample,
    other: Sample,
    labels: Floats,
    *,
    luck: tuple[Sequence[Sample], Sequence[Sample]],
    metric: Metric = PEARSON,
) -> Interval:
    """Mean score of `one` minus that of `other`, of two studies on the same items.

    What a seed does to a model it need not do to another, and one study may be steadier than the
    other: each tells its own luck, and none of it cancels.

    Args:
        luck: Configs of either study with several seeds; none leave its luck out.
    """
    first, second = (
        compare([sample], labels, noise_from=known or None, stream=stream, metric=metric)
        for stream, (sample, known) in enumerate(zip((one, other), luck, strict=True))
    )
    value = float(first.means[0] - second.means[0])
    return _interval(value, value + first.deviations[:, 0] - second.deviations[:, 0])


def _interval(value: float, resampled: Floats) -> Interval:
    low, high = np.nanquantile(resampled, [ERROR, 1 - ERROR])
    return Interval(value, float(low), float(high))
