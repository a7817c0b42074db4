"""Variances between the seeds of several configs, each moderated by those of the others.

A handful of seeds tells little of one config's variance, and the mean over all configs is wrong
where one of them collapses on some seeds. So configs are taken to be alike, more or less, but for
one in a few that may be anything; how alike, and which, is told by the scores. The posterior is
computed on a grid. Sources: Smyth, Statistical Applications in Genetics and Molecular Biology 3
(2004), 3, for the moderation; Phipson et al., Annals of Applied Statistics 10 (2016), 946-963, for
keeping those that are unlike out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product

import numpy as np
from scipy.special import ndtr, ndtri

from sweep.core.arrays import Floats, Indices

#: Logarithms of variances, over the pooled one.
_STEP = 0.2
_GRID = np.arange(-45, 61) * _STEP
#: How unlike configs are: SD of the logarithm of their variances, with what is expected of it.
_UNLIKE = ((0.0, 0.4), (0.25, 0.2), (0.5, 0.2), (1.0, 0.1), (2.0, 0.1))
#: Share of configs that are like no other, with what is expected of it, and how much steadier than
#: the others such a config may be.
_ODD, _STEADIER = ((0.05, 0.5), (0.3, 0.5)), 2.0
#: Two-sided, of the spread that a heavy tail is given.
_REACH = 0.01
#: Below this, in squared points of the score, runs are equal.
_NOTHING = 1e-18


@cache
def _priors() -> tuple[Floats, Floats, Floats]:
    """By place and scatter of the configs `[H]`: shares of the grid `[H, G]` for any config and for
    one that is like the others, and the logarithm of what is expected of each `[H]`."""
    middles = _GRID[:, None]
    odd = (middles - _STEADIER <= _GRID).astype(np.float64)
    odd /= odd.sum(axis=1, keepdims=True)
    mixed, alike, expected = [], [], []
    for (scatter, share), (odds, share_of_odds) in product(_UNLIKE, _ODD):
        distance = (_GRID - middles) / max(scatter, _STEP / 10)
        shares = np.exp(-0.5 * distance**2)
        shares /= shares.sum(axis=1, keepdims=True)
        alike.append(shares)
        mixed.append((1 - odds) * shares + odds * odd)
        expected.append(np.full(len(_GRID), np.log(share * share_of_odds)))
    return np.concatenate(mixed), np.concatenate(alike), np.concatenate(expected)


@dataclass(frozen=True, eq=False)
class Moderated:
    """What is known of the variance of one run, config by config.

    Args:
        squares: Mean squares of each config's runs around their mean, `[K]`.
        free: Degrees of freedom of each, `[K]`; 0: such a config is taken to be like the others.
    """

    squares: Floats
    free: Floats

    @property
    def pooled(self) -> float:
        return float(self.squares @ self.free / max(self.free.sum(), 1e-12))

    @property
    def is_nothing(self) -> bool:
        """Whether no run differs from another of its config."""
        return self.pooled < _NOTHING

    @cached_property
    def typical(self) -> Floats:
        """The middle of each variance's logarithm, as a variance, `[K]`."""
        if self.is_nothing:
            return np.zeros(len(self.squares))
        return np.asarray(self.pooled * np.exp(self._shares @ _GRID)[self._kinds[1]])

    @property
    def tail_free(self) -> float:
        """Degrees of freedom of the middle config's variance, as its posterior has them."""
        if self.is_nothing:
            return np.inf
        middles = self._shares @ _GRID
        spreads = self._shares @ _GRID**2 - middles**2
        return float(2 / np.median(spreads[self._kinds[1]]))

    def draws(self, num: int, rng: np.random.Generator) -> Floats:
        """Joint draws of the variances, `[num, K]`."""
        if self.is_nothing:
            return np.zeros((num, len(self.squares)))
        chosen = rng.choice(len(self._of_priors), size=num, p=self._of_priors)
        places = rng.random((num, len(self.squares)))
        of_config = self._kinds[1]
        for prior in np.unique(chosen):
            sums = self._grid_shares(int(prior)).cumsum(axis=1)
            # One sorted row for all kinds: each has a unit of its own in it.
            ends = (sums / sums[:, -1:] + np.arange(len(sums))[:, None]).ravel()
            found = np.searchsorted(ends, places[chosen == prior] + of_config)
            places[chosen == prior] = found - of_config * len(_GRID)
        places = np.minimum(places, len(_GRID) - 1) + rng.uniform(-0.5, 0.5, size=places.shape)
        return np.asarray(self.pooled * np.exp(_GRID[0] + _STEP * places))

    def reach(self, share: float, less: Floats) -> Floats:
        """A variance for each config `[K]`: a normal error of so much has the same far ends as the
        one of `share` of the variance, `less` that `[K]`, whose size is not known for sure."""
        if self.is_nothing:
            return np.zeros(len(self.squares))
        kinds, kind_of = np.unique(
            np.column_stack([self._kinds[1], less]), axis=0, return_inverse=True
        )
        shares = self._shares[kinds[:, 0].astype(np.int64)]
        sizes = self.pooled * np.exp(_GRID) * share - kinds[:, [1]]
        errors = np.sqrt(np.maximum(sizes, _NOTHING))
        low, high = np.zeros(len(errors)), 10 * errors[:, -1]
        for _ in range(30):
            middle = (low + high) / 2
            beyond = 2 * (shares * ndtr(-middle[:, None] / errors)).sum(axis=1)
            is_short = beyond > _REACH
            low, high = np.where(is_short, middle, low), np.where(is_short, high, middle)
        return np.asarray(((high / ndtri(_REACH / 2)) ** 2)[kind_of.ravel()])

    @cached_property
    def _kinds(self) -> tuple[Indices, Indices]:
        """Configs of which something else is known each, and the kind of every config: all those
        that tell nothing are one."""
        known = np.flatnonzero(self.free > 0)
        kind_of = np.full(len(self.free), len(known))
        kind_of[known] = np.arange(len(known))
        return np.append(known, np.flatnonzero(self.free == 0)[:1]), kind_of

    @cached_property
    def _likelihood(self) -> Floats:
        """Of each kind of config, `[C, G]`."""
        free, ratios = (x[self._kinds[0], None] for x in (self.free, self.squares / self.pooled))
        logs = -0.5 * free * (_GRID + ratios * np.exp(-_GRID))
        return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)))

    @cached_property
    def _evidence(self) -> Floats:
        """Of each prior for each kind, `[C, H]`."""
        mixed, _, _ = _priors()
        return np.asarray(np.maximum(self._likelihood @ mixed.T, 1e-300))

    @cached_property
    def _of_priors(self) -> Floats:
        """How likely each is, `[H]`."""
        known = self.free[self._kinds[0]] > 0
        logs = np.log(self._evidence[known]).sum(axis=0) + _priors()[2]
        shares = np.exp(logs - logs.max())
        return np.asarray(shares / shares.sum())

    @cached_property
    def _shares(self) -> Floats:
        """How likely each place of the grid is, `[C, G]`."""
        mixed, alike, _ = _priors()
        found = self._likelihood * ((self._of_priors / self._evidence) @ mixed)
        found[self.free[self._kinds[0]] == 0] = self._of_priors @ alike
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def _grid_shares(self, prior: int) -> Floats:
        mixed, alike, _ = _priors()
        shares: Floats = np.asarray(self._likelihood * mixed[prior], dtype=np.float64)
        shares[self.free[self._kinds[0]] == 0] = alike[prior]
        return shares
