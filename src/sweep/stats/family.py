"""Differences that a study speaks of together, with intervals that hold for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sweep.core.arrays import Floats
from sweep.stats.comparison import ERROR, FINEST, Comparison, error_of_look, farther_out
from sweep.stats.interval import Interval
from sweep.stats.levels import Factor, LevelMeans

#: What of a score is rounding.
_NOTHING = 1e-9


@dataclass(frozen=True)
class Family:
    """How many differences there are, and how many times wider than for itself alone the interval
    of each has to be."""

    size: int
    stretch: float

    @classmethod
    def of(cls, weights: Iterable[Floats], comparison: Comparison) -> Family:
        """Of weighted sums of the means, `[K]` each.

        So wide that 95 % of the draws lie in all intervals, over all looks at the study. Dividing
        the error by the number of differences would ask for quantiles that the draws are too few
        for, and more than is due: differences of one key are alike. Source: Westfall & Young,
        Resampling-Based Multiple Testing (1993), chapter 2.
        """
        size, farthest = 0, np.zeros(len(comparison.deviations))
        for one in weights:
            size += 1
            draws = comparison.deviations @ one
            low, high = np.quantile(draws, [ERROR, 1 - ERROR])
            if high - low > _NOTHING:
                # Below and above 0 by the ends of each side.
                np.maximum(farthest, np.where(draws > 0, draws / high, draws / low), out=farthest)
        if size < 2 and comparison.looks == 1:
            return cls(size, 1.0)
        error = error_of_look(comparison.looks)
        counted = float(np.quantile(farthest, 1 - 2 * max(error, FINEST)))
        return cls(size, max(1.0, counted * farther_out(error, comparison.free)))

    def interval(self, weights: Floats, comparison: Comparison) -> Interval:
        """Of one of them."""
        value = float(weights @ comparison.means)
        low, high = np.quantile(comparison.deviations @ weights, [ERROR, 1 - ERROR])
        return Interval(
            value, value + self.stretch * float(low), value + self.stretch * float(high)
        )


def family_of(factors: Sequence[Factor], comparison: Comparison) -> Family:
    """All pairs of levels of all keys: whichever level turns out best is one of a pair."""
    levels = LevelMeans(factors)
    by_factor = [levels.all_weights(factor) for factor in factors]
    pairs = (one - other for found in by_factor for one, other in combinations(found, 2))
    return Family.of(pairs, comparison)
