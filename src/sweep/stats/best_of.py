"""What the best of a few draws is expected to score: a budget, not a single lucky config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import comb

from sweep.core.arrays import Floats


@dataclass(frozen=True)
class Drawn:
    """A method and the scores of its configs, in the order of a table.

    `best_of[n - 1]` is the expected best of n draws, points of the score; `rate` is the learning
    rate of the best.
    """

    name: str
    best_of: tuple[float, ...]
    rate: float

    @property
    def num_configs(self) -> int:
        return len(self.best_of)

    def expected(self, draws: int) -> float:
        """The expected best of so many draws, or of all where there are fewer."""
        return self.best_of[min(draws, self.num_configs) - 1]


def expected_best(scores: Sequence[float] | Floats) -> Floats:
    """The mean of the best over all sets of n of these N scores, for n from 1 to N `[N]`.

    Unbiased for the expected best of n draws (Tang et al. 2020, arXiv:2004.13705; the estimate of
    Dodge et al. 2019, arXiv:1909.03004, draws with replacement and is too low). No interval comes
    with it: the same paper shows that resampled ones do not cover. What is sure is said by runs on
    fresh seeds.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    size = len(ordered)
    below = np.arange(size)
    sizes = np.arange(1, size + 1)[:, None]
    weights = comb(below, sizes - 1) / comb(size, sizes)
    return np.asarray(weights @ ordered)
