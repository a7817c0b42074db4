"""What the seed adds to the luck of the dev pairs: how far it moves each config, and all alike.

A score is its config's expectation, what the seed does to all configs alike in proportion to how
far seeds move them, and what it does to this one alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.core.arrays import Floats, Indices
from sweep.stats.comparison import Covariance
from sweep.stats.moderation import Moderated

#: A variance, in squared points of the score, that is none.
_NOTHING = 1e-14


@dataclass(frozen=True)
class RunsByConfig:
    """Which run belongs to which config and seed; a config's runs stand together.

    `num_seeds` `[K]`: runs of each config. `of_seed` `[S, K]`: share of each seed in each config's
    mean. `seeds` `[R, Q]` spans what seeds do to all configs alike, as far as configs leave it
    open.
    """

    num_seeds: NDArray[np.int64]
    of_seed: Floats
    seeds: Floats

    @classmethod
    def of(cls, seeds: Sequence[tuple[int, ...]]) -> RunsByConfig:
        num_seeds = np.array([len(of_config) for of_config in seeds])
        known, seed_of = np.unique(
            [s for of_config in seeds for s in of_config], return_inverse=True
        )
        by_seed = (seed_of[:, None] == np.arange(len(known))).astype(np.float64)
        alone = cls(num_seeds, np.zeros((0, len(seeds))), np.zeros((len(by_seed), 0)))
        basis, sizes, _ = np.linalg.svd(alone.within(by_seed.T).T, full_matrices=False)
        return cls(num_seeds, alone.means(by_seed.T), basis[:, sizes > 1e-9])

    @property
    def of_run(self) -> NDArray[np.int64]:
        """The config of each run, `[R]`."""
        return np.repeat(np.arange(len(self.num_seeds)), self.num_seeds)

    @property
    def free(self) -> NDArray[np.int64]:
        """Degrees of freedom within each config, `[K]`."""
        return self.num_seeds - 1

    @property
    def free_alone(self) -> int:
        """Degrees of freedom within configs and seeds; without common seeds, within configs."""
        within = int(self.free.sum())
        return within - self.seeds.shape[1] or within

    def means(self, x: Floats) -> Floats:
        """Over the runs of each config, `[..., R]` to `[..., K]`."""
        starts = np.concatenate([[0], np.cumsum(self.num_seeds)[:-1]])
        return np.asarray(np.add.reduceat(x, starts, axis=-1) / self.num_seeds)

    def within(self, x: Floats) -> Floats:
        """What the config's mean leaves of each run, `[..., R]`."""
        return np.asarray(x - np.repeat(self.means(x), self.num_seeds, axis=-1))

    def squares(self, within: Floats) -> Floats:
        """Mean square of `[..., R]` within each config, `[K]`; 0 for one with one seed."""
        squares = (within**2).reshape(-1, within.shape[-1]).mean(axis=0)
        return np.asarray(self.means(squares) * self.num_seeds / np.maximum(self.free, 1))

    def variances(self, within: Floats, *, ddof: tuple[int, int]) -> tuple[float, float]:
        """Mean squares of `[..., R]` within configs, and within configs and seeds."""
        alone = within - (within @ self.seeds) @ self.seeds.T if self.seeds.size else within
        draws = within.size / within.shape[-1]
        total, own = (float(np.vdot(part, part)) / draws for part in (within, alone))
        return total / ddof[0], own / ddof[1]


@dataclass(frozen=True, eq=False)
class SeedNoise:
    """How far seeds move the scores of configs, in points of the score.

    `seed_sd` is pooled over the configs that tell it; None where none has two seeds.
    `of_runs` are the variances of one run, of those configs `[K]` and of as many others as `places`
    asks for. Of a variance, the share `own` is left by config and seed, and `common` is what a seed
    does to all. `own_free` are the degrees of freedom that tell the share: few runs may look much
    more alike than they are. `by_items` `[K]` is the part of the own variance that comes from the
    finite dev set and is in the bootstrap already. `places` are the configs that are compared.
    """

    seed_sd: float | None
    of_runs: Moderated
    own: float
    own_free: float
    common: float
    by_items: Floats
    places: Indices

    @classmethod
    def of(
        cls, scores: Floats, by_items: Floats, layout: RunsByConfig, places: Indices
    ) -> SeedNoise:
        """Args:
        scores: Of each run `[R]`; `by_items` `[B, R]` is how far each resample is from it.
        places: Of the configs that are compared; -1 for one that is not among these.
        """
        within = layout.within(np.nan_to_num(scores))
        found = _moderated(layout.squares(within), layout, places)
        compared = np.where(places < 0, len(layout.num_seeds) + np.cumsum(places < 0) - 1, places)
        if found.is_nothing:
            sd = 0.0 if layout.free.any() else None
            return cls(sd, found, 0.0, np.inf, 0.0, np.zeros(len(found.free)), compared)
        sizes = np.maximum(found.typical, np.finfo(np.float64).tiny)
        scale = np.sqrt(sizes)[layout.of_run]
        items_within = layout.within(by_items)
        measured = layout.squares(items_within)
        items_within /= scale
        (total, own), (items, own_items) = _shares((within / scale, items_within), layout)
        common = max(0.0, (total - own) - (items - own_items))
        of_items = own_items * sizes
        several = np.flatnonzero(layout.free)
        of_items[several] = measured[several] * (own_items / max(items, 1e-12))
        sd = float(np.sqrt(found.pooled))
        shares = own / total, _free_of_share(layout), common / total
        return cls(sd, found, *shares, of_items, compared)

    def draws(
        self, layout: RunsByConfig, num: int, rng: np.random.Generator, expected: Floats
    ) -> tuple[Floats, float]:
        """Joint draws of the means of the configs that are compared, `[num, K]`, and
        `Comparison.tail`.

        Args:
            expected: Variances of the means, what seeds do to all alike left out, `[K]`.
        """
        num_seeds, num_configs = layout.of_seed.shape
        common = rng.normal(size=(num, num_seeds)) @ self._of_seeds(layout)
        variances = self.of_runs.draws(num, rng)[:, self.places]
        noise = rng.normal(size=(num, num_configs))
        variances *= self._draws_of_own(num, rng)[:, None]
        own = np.maximum(variances - self.by_items[self.places], 0) / layout.num_seeds
        noise *= np.sqrt(own)
        wider = own.max(axis=0) / np.maximum(expected, _NOTHING)
        return np.asarray(common + noise), max(1.0, float(np.sqrt(wider.max())))

    def covariance(self, layout: RunsByConfig, by_items: Floats) -> Covariance:
        """Of the configs' means, whose resamples are `[B, K]`.

        A variance that is hardly known counts as the larger one that has the same far ends.
        """
        items = (by_items - by_items.mean(axis=0)) / np.sqrt(len(by_items))
        own = self.of_runs.reach(self.own, self.by_items)[self.places] / layout.num_seeds
        return Covariance(np.concatenate([items, self._of_seeds(layout)]), own)

    def _draws_of_own(self, num: int, rng: np.random.Generator) -> Floats:
        """Draws of the share `own`, `[num]`: never more than the whole, or than was measured."""
        if not np.isfinite(self.own_free):
            return np.full(num, self.own)
        drawn = self.own * self.own_free / rng.chisquare(self.own_free, num)
        return np.minimum(drawn, max(1.0, self.own))

    def _of_seeds(self, layout: RunsByConfig) -> Floats:
        """What a seed that moves all configs by one SD does to each mean, `[S, K]`."""
        sizes = np.sqrt(self.common * self.of_runs.typical[self.places])
        return np.asarray(layout.of_seed * sizes)


def _moderated(squares: Floats, layout: RunsByConfig, places: Indices) -> Moderated:
    """With configs that are compared and tell nothing at the end."""
    others = np.zeros(int((places < 0).sum()))
    free = np.append(layout.free.astype(np.float64), others)
    return Moderated(np.append(squares, others), free)


def _shares(parts: Sequence[Floats], layout: RunsByConfig) -> list[tuple[float, float]]:
    """Mean squares within configs, and within configs and seeds, of what the configs' means leave
    `[..., R]`, in units of how far seeds move each config."""
    within, alone = int(layout.free.sum()), layout.free_alone
    if alone == within:  # No two configs share seeds: nothing is common.
        none = np.zeros((parts[0].shape[-1], 0))
        layout = RunsByConfig(layout.num_seeds, layout.of_seed, none)
    return [layout.variances(part, ddof=(within, alone)) for part in parts]


def _free_of_share(layout: RunsByConfig) -> float:
    """Degrees of freedom of what configs and seeds leave, over the variance within configs.

    The logarithm of a mean square has the variance 2/df, nearly; the draws of the variance have
    that of its own already, and the share brings the rest.
    """
    within, alone = float(layout.free.sum()), float(layout.free_alone)
    return alone * within / (within - alone) if alone < within else np.inf
