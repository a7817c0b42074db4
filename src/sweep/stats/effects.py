"""What each searched key does to the score, balanced for the others, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from sweep.core.arrays import Floats
from sweep.stats.comparison import ERROR, Comparison
from sweep.stats.interval import Interval
from sweep.stats.levels import Factor, LevelMeans, design_of

#: Pearson points that are rounding.
_NOTHING = 1e-9
#: Bootstrap resamples of the configs.
NUM_CONFIG_RESAMPLES = 400


@dataclass(frozen=True)
class Effect:
    """A level beside the best level of its key: Pearson points, with a 95 % interval.

    The interval holds what a new dev set and new seeds would change, for the configs that were
    tried. `elsewhere_low` and `elsewhere_high` also hold how differently the configs take it: what
    is to be expected beside settings that were not tried. None where the interval holds that
    already, or it is not known. The best level itself has difference 0 and no interval.
    """

    key: str
    level: str
    num_configs: int
    mean: float
    difference: float
    ci_low: float | None = None
    ci_high: float | None = None
    distinguishable: bool = False
    elsewhere_low: float | None = None
    elsewhere_high: float | None = None


@dataclass(frozen=True)
class Importance:
    """Share of the scores' variance between configs that a key explains, with a 95 % interval."""

    key: str
    importance: float
    ci_low: float
    ci_high: float


def main_effects(factors: Sequence[Factor], comparison: Comparison) -> list[Effect]:
    """Every level of every factor, for the configs of the comparison.

    The intervals of a key hold for all pairs of its levels at once, and so for any choice of the
    best one. They hold dev pairs and seeds; where the seed's luck is not known or the design is
    not balanced, also what the additive model leaves.
    """
    means = LevelMeans(factors)
    model = _Model(means.design, comparison)
    return [effect for factor in factors for effect in _levels(factor, means, model)]


def importances(factors: Sequence[Factor], means: Floats) -> list[Importance]:
    """Each factor's share of the variance, highest first; bootstrapped over configs.

    The main-effect part of a functional ANOVA (Hutter et al., ICML 2014), with the additive model
    as surrogate: exact on a full grid. Of few configs every key explains something.
    """
    draws = resampled_configs(len(means))
    design = design_of(factors)
    whole = _shares(factors, design, means)
    resampled = np.array([_shares(factors, design[rows], means[rows]) for rows in draws])
    ends = np.quantile(resampled, [ERROR, 1 - ERROR], axis=0).T
    found = [
        Importance(factor.key, share, float(low), float(high))
        for factor, share, (low, high) in zip(factors, whole.tolist(), ends, strict=True)
    ]
    return sorted(found, key=lambda i: -i.importance)


def resampled_configs(num_configs: int) -> NDArray[np.int64]:
    """Bootstrap resamples of configs, `[NUM_CONFIG_RESAMPLES, K]` indices."""
    rng = np.random.default_rng([0, 3])
    return rng.integers(0, num_configs, size=(NUM_CONFIG_RESAMPLES, num_configs))


def _shares(factors: Sequence[Factor], design: Floats, means: Floats) -> Floats:
    """Variance of each factor's own term over that of the means, `[F]`."""
    total = float(means.var())
    if total < 1e-18:
        return np.zeros(len(factors))
    coefficients = np.linalg.lstsq(design, means, rcond=None)[0]
    ends = np.cumsum([1, *(len(f.levels) for f in factors)])
    terms = [design[:, a:b] @ coefficients[a:b] for a, b in pairwise(ends.tolist())]
    return np.minimum(np.array([term.var() for term in terms]) / total, 1.0)


def interaction(
    first: Floats, second: Floats, factors: Sequence[Factor], comparison: Comparison
) -> Interval | None:
    """What a unit of the first number `[K]` gives more per unit of the second, beside the main
    effects; None where the configs can't tell."""
    design = design_of(factors)
    product = (first - first.mean()) * (second - second.mean())
    alone = product - design @ (np.linalg.pinv(design) @ product)
    if alone @ alone < 1e-9 * max(1.0, float(product @ product)):
        return None
    model = _Model(np.column_stack([design, product]), comparison)
    return model.estimate(alone / (alone @ alone), with_misfit=True)


class _Model:
    """Least squares over the configs' means."""

    def __init__(self, design: Floats, comparison: Comparison) -> None:
        self.comparison = comparison
        self._free = len(design) - int(np.linalg.matrix_rank(design))
        rest = comparison.means - design @ (np.linalg.pinv(design) @ comparison.means)
        self._spread = float(np.sqrt(rest @ rest / self._free)) if self._free else None

    def estimate(
        self, weights: Floats, *, with_misfit: bool, stretch: float = 1.0, pairs: int = 1
    ) -> Interval | None:
        """A weighted sum of the means; None where its error is not known.

        Args:
            stretch: How many times wider than for itself alone its interval has to be.
            pairs: Sums that it is one of, where the model's misfit counts (Bonferroni's bound).
        """
        value = float(weights @ self.comparison.means)
        ends = np.quantile(self.comparison.deviations @ weights, [ERROR, 1 - ERROR])
        low, high = stretch * ends
        if with_misfit:
            if self._spread is None:
                return None
            quantile = student.ppf(1 - ERROR / pairs, self._free)
            half = quantile * self._spread * np.sqrt(weights @ weights)
            low, high = min(low, -half), max(high, half)
        return Interval(value, value + float(low), value + float(high))


def _levels(factor: Factor, of_levels: LevelMeans, model: _Model) -> list[Effect]:
    weights = [of_levels.weights(factor, i)[0] for i in range(len(factor.levels))]
    means = [float(w @ model.comparison.means) for w in weights]
    best = means.index(max(means))
    misfit = model.comparison.seed_sd is None or not _is_balanced(factor, of_levels.factors)
    stretch = _stretch(model.comparison.deviations @ np.array(weights).T)
    effects = []
    for index, level in enumerate(factor.levels):
        count = factor.of_config.count(index)
        effect = Effect(factor.key, level, count, means[index], means[index] - means[best])
        lead = weights[index] - weights[best]
        estimate = partial(model.estimate, lead, stretch=stretch, pairs=math.comb(len(means), 2))
        found = estimate(with_misfit=misfit)
        if index != best and found is not None:
            wide = None if misfit else estimate(with_misfit=True)
            effect = replace(
                effect,
                ci_low=found.ci_low,
                ci_high=found.ci_high,
                distinguishable=found.ci_high < 0,
                elsewhere_low=wide.ci_low if wide else None,
                elsewhere_high=wide.ci_high if wide else None,
            )
        effects.append(effect)
    return effects


def _stretch(levels: Floats) -> float:
    """How many times wider the intervals of all pairs have to be than for each pair alone.

    So many that 95 % of the draws `[B, L]` of the levels' means lie in all of them: whichever level
    has most luck is one of a pair. Dividing the error by the number of pairs would ask for
    quantiles that the draws are too few for.
    """
    if levels.shape[1] < 3:
        return 1.0
    farthest = np.zeros(len(levels))
    for one in levels.T:
        # Seen from both sides, a pair has two lower ends.
        lead = one[:, None] - levels
        end = np.quantile(lead, ERROR, axis=0)
        times = np.divide(lead, end, out=np.zeros_like(lead), where=end < -_NOTHING)
        farthest = np.maximum(farthest, times.max(axis=1))
    return max(1.0, float(np.quantile(farthest, 1 - 2 * ERROR)))


def _is_balanced(factor: Factor, factors: Sequence[Factor]) -> bool:
    """Whether each level meets the same settings of the other keys, equally often."""
    met: dict[int, list[tuple[int, ...]]] = {}
    for config, level in enumerate(factor.of_config):
        rest = tuple(f.of_config[config] for f in factors if f is not factor)
        met.setdefault(level, []).append(rest)
    groups = [sorted(rest) for rest in met.values()]
    return all(group == groups[0] for group in groups)
