"""How sure a score is: dev pairs and training seeds together, paired between configs.

A score is its config's expectation plus two errors: the luck of the dev pairs, common to all
runs (so configs are compared on the same resamples), and the luck of the seed. The first is
bootstrapped; a bootstrap of one to five seeds would come out too narrow, so the second is drawn
from a normal distribution whose variance is pooled over all configs and itself drawn with its
degrees of freedom, which gives the tails of Student's t. Where runs of different configs share a
seed, what the seed does to all of them alike is taken out of comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweep.core.arrays import Floats
from sweep.stats.comparison import Comparison, Covariance

#: Resamples: the 2.5 % quantile of 2,000 rests on 50 draws.
NUM_RESAMPLES = 2_000
#: Runs that are resampled at a time, for the sake of memory.
_BLOCK = 512


@dataclass(frozen=True)
class Sample:
    """Dev predictions of one config: `[S, N]`, a row for each of its `seeds`."""

    seeds: tuple[int, ...]
    predictions: Floats


@lru_cache(maxsize=1)
def resampling_weights(num_items: int, *, seed: int = 0) -> Floats:
    """Share of each item in each bootstrap resample, `[NUM_RESAMPLES, num_items]`, read-only."""
    # A stream of its own: data drawn under the same seed must not meet its own numbers again.
    rng = np.random.default_rng([seed, 2])
    counts = rng.multinomial(num_items, np.full(num_items, 1 / num_items), size=NUM_RESAMPLES)
    weights = np.asarray(counts, dtype=np.float64) / num_items
    weights.setflags(write=False)
    return weights


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


def compare(
    samples: Sequence[Sample],
    labels: Floats,
    *,
    seed: int = 0,
    num_rivals: int | None = None,
    noise_from: Sequence[Sample] | None = None,
    noise_labels: Floats | None = None,
    stream: int = 0,
) -> Comparison:
    """Compare configs, the leading one first, on the dev labels `[N]`.

    Args:
        seed: Of the resamples.
        num_rivals: Number of configs that these were chosen from.
        noise_from: Configs for the variance between seeds, beside the means; None: `samples`.
        noise_labels: Of other items, which `noise_from` was scored on; None: on these.
        stream: Of the seeds' luck. Two comparisons whose seeds have nothing to do with one another
            need different ones; the resamples of the items stay the same.

    Sources: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16; for
    the variance of two crossed samples Gallas, Academic Radiology 13 (2006), 353-362.
    """
    weights = resampling_weights(len(labels), seed=seed)
    scores, by_items = _resampled(samples, labels, weights)
    layout = _RunsByConfig.of([sample.seeds for sample in samples])
    noise = _SeedNoise.of(scores, by_items, layout)
    if noise_from is not None:
        noise = _noise_of(noise_from, labels if noise_labels is None else noise_labels, seed=seed)
    by_items = layout.means(by_items)
    rng = np.random.default_rng([seed, 1, stream] if stream else [seed, 1])
    by_seeds, tail = noise.draws(layout, rng)
    return Comparison(
        layout.means(scores),
        deviations=by_items + by_seeds,
        covariance=noise.covariance(layout, by_items),
        seed_sd=noise.seed_sd,
        num_rivals=num_rivals,
        tail=tail,
    )


def _noise_of(samples: Sequence[Sample], labels: Floats, *, seed: int) -> _SeedNoise:
    """The luck of the seeds, as these configs show it."""
    resampled = _resampled(samples, labels, resampling_weights(len(labels), seed=seed))
    return _SeedNoise.of(*resampled, _RunsByConfig.of([sample.seeds for sample in samples]))


def _resampled(samples: Sequence[Sample], labels: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Pearson of each run `[R]`, and how far each resample is from it `[B, R]`."""
    runs = np.concatenate([sample.predictions for sample in samples])
    scores = resampled_pearson(runs, labels, np.full((1, len(labels)), 1 / len(labels)))[0]
    deviations = np.empty((len(weights), len(runs)))
    for start in range(0, len(runs), _BLOCK):
        block = slice(start, start + _BLOCK)
        # Where a resample leaves nothing that varies, there is nothing that correlates either.
        resampled = np.nan_to_num(resampled_pearson(runs[block], labels, weights))
        deviations[:, block] = resampled - np.nan_to_num(scores[block])
    return scores, deviations


@dataclass(frozen=True)
class _RunsByConfig:
    """Which run belongs to which config and seed; a config's runs stand together.

    `num_seeds` `[K]`: runs of each config. `of_seed` `[S, K]`: share of each seed in each config's
    mean. `seeds` `[R, Q]` spans what seeds do to all configs alike, as far as configs leave it
    open.
    """

    num_seeds: NDArray[np.int64]
    of_seed: Floats
    seeds: Floats

    @classmethod
    def of(cls, seeds: Sequence[tuple[int, ...]]) -> _RunsByConfig:
        num_seeds = np.array([len(of_config) for of_config in seeds])
        known, seed_of = np.unique(
            [s for of_config in seeds for s in of_config], return_inverse=True
        )
        by_seed = (seed_of[:, None] == np.arange(len(known))).astype(np.float64)
        alone = cls(num_seeds, np.zeros((0, len(seeds))), np.zeros((len(by_seed), 0)))
        basis, sizes, _ = np.linalg.svd(alone.within(by_seed.T).T, full_matrices=False)
        return cls(num_seeds, alone.means(by_seed.T), basis[:, sizes > 1e-9])

    def means(self, x: Floats) -> Floats:
        """Over the runs of each config, `[..., R]` to `[..., K]`."""
        starts = np.concatenate([[0], np.cumsum(self.num_seeds)[:-1]])
        return np.asarray(np.add.reduceat(x, starts, axis=-1) / self.num_seeds)

    def within(self, x: Floats) -> Floats:
        """What the config's mean leaves of each run, `[..., R]`."""
        return np.asarray(x - np.repeat(self.means(x), self.num_seeds, axis=-1))

    def variances(self, x: Floats, *, ddof: tuple[int, int]) -> tuple[float, float]:
        """Mean squares of `[..., R]` within configs, and within configs and seeds."""
        within = self.within(x)
        alone = within - (within @ self.seeds) @ self.seeds.T
        draws = x.size / x.shape[-1]
        total, own = ((part**2).sum() / draws for part in (within, alone))
        return float(total / ddof[0]), float(own / ddof[1])


@dataclass(frozen=True)
class _SeedNoise:
    """What the seed adds to the dev pairs' error.

    `own` is the variance of one run that its config and seed leave, `own_by_items` the part of it
    that comes from the finite dev set and is in the bootstrap already; `common` is what a seed does
    to all configs.
    """

    seed_sd: float | None = None
    own: float = 0.0
    own_by_items: float = 0.0
    common: float = 0.0
    free: int = 0

    @classmethod
    def of(cls, scores: Floats, by_items: Floats, layout: _RunsByConfig) -> _SeedNoise:
        scored = np.nan_to_num(scores)
        num_runs = len(scores)
        within = num_runs - len(layout.num_seeds)
        if within == 0:
            return cls()
        free = within - layout.seeds.shape[1]
        if free == 0:  # No two configs share seeds: nothing is common.
            layout = _RunsByConfig(layout.num_seeds, layout.of_seed, np.zeros((num_runs, 0)))
            free = within
        total, own = layout.variances(scored, ddof=(within, free))
        items, own_items = layout.variances(by_items, ddof=(within, free))
        common = max(0.0, (total - own) - (items - own_items))
        return cls(float(np.sqrt(total)), own, own_items, common, free)

    def draws(self, layout: _RunsByConfig, rng: np.random.Generator) -> tuple[Floats, float]:
        """Joint draws of the configs' means, `[B, K]`, and `Comparison.tail`."""
        num_seeds, num_configs = layout.of_seed.shape
        common = rng.normal(size=(NUM_RESAMPLES, num_seeds)) * np.sqrt(self.common)
        drawn = self.own * self.free / rng.chisquare(max(self.free, 1), size=(NUM_RESAMPLES, 1))
        own = np.maximum(drawn - self.own_by_items, 0)
        noise = rng.normal(size=(NUM_RESAMPLES, num_configs)) * np.sqrt(own / layout.num_seeds)
        expected = max(self._own_beyond_items, np.finfo(np.float64).tiny)
        tail = max(1.0, float(np.sqrt(own.max()) / np.sqrt(expected)))
        return np.asarray(common @ layout.of_seed + noise), tail

    def covariance(self, layout: _RunsByConfig, by_items: Floats) -> Covariance:
        """Of the configs' means, whose resamples are `[B, K]`."""
        items = (by_items - by_items.mean(axis=0)) / np.sqrt(len(by_items))
        seeds = np.sqrt(self.common) * layout.of_seed
        own = self._own_beyond_items / layout.num_seeds
        return Covariance(np.concatenate([items, seeds]), own)

    @property
    def _own_beyond_items(self) -> float:
        return max(0.0, self.own - self.own_by_items)
