"""How sure a score is: dev pairs and training seeds together, paired between configs.

A score is its config's expectation plus two errors: the luck of the dev pairs, common to all
runs (so configs are compared on the same resamples), and the luck of the seed. The first is
bootstrapped; a bootstrap of one to five seeds would come out too narrow, so the second is drawn
from a normal distribution whose variance is moderated by that of the other configs and itself
drawn, which gives the tails of Student's t. Where runs of different configs share a seed, what the
seed does to all of them alike is taken out of comparisons.

Sources: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16; for the
variance of two crossed samples Gallas, Academic Radiology 13 (2006), 353-362.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.metric import PEARSON, Metric
from sweep.stats.comparison import Comparison
from sweep.stats.metrics import resampled
from sweep.stats.seed_noise import RunsByConfig, SeedNoise

#: Resamples: the 2.5 % quantile of 2,000 rests on 50 draws.
NUM_RESAMPLES = 2_000
#: Runs that are resampled at a time, for the sake of memory.
_BLOCK = 512


@dataclass(frozen=True)
class Sample:
    """Dev predictions of one config: `[S, N]`, a row for each of its `seeds`.

    Samples of one `config_id` are of the same config; without, nobody knows.
    """

    seeds: tuple[int, ...]
    predictions: Floats
    config_id: str | None = None


@lru_cache(maxsize=1)
def resampling_weights(num_items: int, *, seed: int = 0) -> Floats:
    """Share of each item in each bootstrap resample, `[NUM_RESAMPLES, num_items]`, read-only."""
    # A stream of its own: data drawn under the same seed must not meet its own numbers again.
    rng = np.random.default_rng([seed, 2])
    counts = rng.multinomial(num_items, np.full(num_items, 1 / num_items), size=NUM_RESAMPLES)
    weights = np.asarray(counts, dtype=np.float64) / num_items
    weights.setflags(write=False)
    return weights


def compare(
    samples: Sequence[Sample],
    labels: Floats,
    *,
    seed: int = 0,
    num_rivals: int | None = None,
    noise_from: Sequence[Sample] | None = None,
    noise_labels: Floats | None = None,
    stream: int = 0,
    looks: int = 1,
    metric: Metric = PEARSON,
) -> Comparison:
    """Compare configs, the leading one first, on the dev labels `[N]`.

    Args:
        seed: Of the resamples.
        num_rivals: Number of configs that these were chosen from.
        noise_from: Configs for the variance between seeds, beside the means; None: `samples`.
            A config that is not among them is taken to be like them.
        noise_labels: Of other items, which `noise_from` was scored on; None: on these.
        stream: Of the seeds' luck. Two comparisons whose seeds have nothing to do with one another
            need different ones; the resamples of the items stay the same.
        looks: How often such a comparison was made while the study grew, this one included.
        metric: Of the study.
    """
    scores, by_items = _resampled(samples, labels, metric, seed=seed)
    layout = RunsByConfig.of([sample.seeds for sample in samples])
    if noise_from is None:
        noise = SeedNoise.of(scores, by_items, layout, np.arange(len(samples)))
    else:
        others = labels if noise_labels is None else noise_labels
        noise = _noise_of(noise_from, others, samples, metric, seed=seed)
    means, by_items = layout.means(scores), layout.means(by_items)
    covariance = noise.covariance(layout, by_items)
    by_seeds, tail = noise.draws(layout, NUM_RESAMPLES, _rng(seed, stream), covariance.own)
    deviations = _inside(np.nan_to_num(means), by_items, by_seeds, metric)
    known = num_rivals, tail, noise.of_runs.tail_free, looks, metric.high - metric.low
    return Comparison(means, deviations, covariance, noise.seed_sd, *known)


def _rng(seed: int, stream: int) -> np.random.Generator:
    """Of the seeds' luck."""
    return np.random.default_rng([seed, 1, stream] if stream else [seed, 1])


def _noise_of(
    known: Sequence[Sample],
    labels: Floats,
    samples: Sequence[Sample],
    metric: Metric,
    *,
    seed: int,
) -> SeedNoise:
    """The luck of the seeds of these samples, as the known configs show it."""
    ids = [sample.config_id for sample in known]
    places = [
        -1 if s.config_id is None or s.config_id not in ids else ids.index(s.config_id)
        for s in samples
    ]
    found = _resampled(known, labels, metric, seed=seed)
    layout = RunsByConfig.of([sample.seeds for sample in known])
    return SeedNoise.of(*found, layout, np.array(places))


def _inside(means: Floats, by_items: Floats, by_seeds: Floats, metric: Metric) -> Floats:
    """Both errors of the means `[K]` together, `[B, K]`, so that no score leaves the metric's
    range: what seeds do is added on the scale of Fisher's z (Metron 1 (1921), 3-32), to which a
    range other than -1 to 1 is stretched. A metric without ends has the plain sum."""
    if not metric.is_bounded:
        return np.asarray(by_items + by_seeds)
    half, middle = (metric.high - metric.low) / 2, (metric.high + metric.low) / 2
    if (half, middle) != (1, 0):
        own = Metric(metric.name, metric.word, metric.beside)
        return half * _inside((means - middle) / half, by_items / half, by_seeds / half, own)
    ends = 1 - 1e-9
    scores = np.arctanh(np.clip(means + by_items, -ends, ends))
    slope = 1 - np.clip(means, -ends, ends) ** 2
    return np.asarray(np.tanh(scores + by_seeds / slope) - means)


def _resampled(
    samples: Sequence[Sample], labels: Floats, metric: Metric, *, seed: int
) -> tuple[Floats, Floats]:
    """Score of each run `[R]`, and how far each resample is from it `[B, R]`."""
    weights = resampling_weights(len(labels), seed=seed)
    runs = np.concatenate([sample.predictions for sample in samples])
    scores = resampled(metric, runs, labels, np.full((1, len(labels)), 1 / len(labels)))[0]
    deviations = np.empty((len(weights), len(runs)))
    for start in range(0, len(runs), _BLOCK):
        block = slice(start, start + _BLOCK)
        # Where a resample leaves nothing that varies, there is nothing that correlates either.
        found = np.nan_to_num(resampled(metric, runs[block], labels, weights))
        deviations[:, block] = found - np.nan_to_num(scores[block])
    return scores, deviations
