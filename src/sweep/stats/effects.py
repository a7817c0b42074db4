"""What each searched key does to the score, balanced for the others, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from sweep.core.arrays import Floats
from sweep.stats.comparison import ERROR, Comparison, error_of_look
from sweep.stats.family import Family, family_of
from sweep.stats.interactions import with_interactions
from sweep.stats.interval import Interval
from sweep.stats.levels import Factor, LevelMeans, design_of, is_balanced

#: Bootstrap resamples of the configs.
NUM_CONFIG_RESAMPLES = 400


@dataclass(frozen=True)
class Effect:
    """A level beside the best level of its key: points of the score, with a 95 % interval.

    The interval holds what a new dev set and new seeds would change, for the configs that were
    tried. `elsewhere_low` and `elsewhere_high` also hold how differently the configs take it: what
    is to be expected beside settings that were not tried. None where the interval holds that
    already, or it is not known. `cells_low` and `cells_high` are the least and the most difference
    of two configs that are alike in the rest, and `most_at` is where another setting surely makes
    it larger. The best level itself has difference 0 and no interval.
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
    cells_low: float | None = None
    cells_high: float | None = None
    most_at: str | None = None


@dataclass(frozen=True)
class Importance:
    """Share of the scores' variance between configs that a key explains, with a 95 % interval."""

    key: str
    importance: float
    ci_low: float
    ci_high: float


def main_effects(factors: Sequence[Factor], comparison: Comparison) -> list[Effect]:
    """Every level of every factor, for the configs of the comparison.

    The intervals hold for all pairs of levels of all keys at once: where nothing matters, a study
    says that something does in 5 % of cases. They hold dev pairs and seeds; where the seed's luck
    is not known or the design is not balanced, also what the additive model leaves.
    """
    levels = LevelMeans(factors)
    model = _Model(levels.design, comparison, family=family_of(factors, comparison))
    found = [effect for factor in factors for effect in _levels(factor, levels, model)]
    if comparison.seed_sd is None:
        return found
    return with_interactions(found, factors, comparison)


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
    family = family_of(factors, comparison)
    model = _Model(np.column_stack([design, product]), comparison, family=family)
    return model.estimate(alone / (alone @ alone), with_misfit=True)


class _Model:
    """Least squares over the configs' means."""

    def __init__(self, design: Floats, comparison: Comparison, *, family: Family) -> None:
        self.comparison = comparison
        self._family = family
        self._free = len(design) - int(np.linalg.matrix_rank(design))
        rest = comparison.means - design @ (np.linalg.pinv(design) @ comparison.means)
        self._spread = float(np.sqrt(rest @ rest / self._free)) if self._free else None

    def estimate(self, weights: Floats, *, with_misfit: bool) -> Interval | None:
        """A weighted sum of the means, one of the family; None where its error is not known."""
        found = self._family.interval(weights, self.comparison)
        if not with_misfit:
            return found
        if self._spread is None:
            return None
        error = error_of_look(self.comparison.looks) / self._family.size
        half = student.isf(error, self._free) * self._spread * float(np.sqrt(weights @ weights))
        return Interval(
            found.value,
            min(found.ci_low, found.value - half),
            max(found.ci_high, found.value + half),
        )


def _levels(factor: Factor, of_levels: LevelMeans, model: _Model) -> list[Effect]:
    weights = of_levels.all_weights(factor)
    means = [float(w @ model.comparison.means) for w in weights]
    best = means.index(max(means))
    misfit = model.comparison.seed_sd is None or not is_balanced(factor, of_levels.factors)
    effects = []
    for index, level in enumerate(factor.levels):
        count = factor.of_config.count(index)
        effect = Effect(factor.key, level, count, means[index], means[index] - means[best])
        lead = weights[index] - weights[best]
        found = model.estimate(lead, with_misfit=misfit)
        if index != best and found is not None:
            wide = None if misfit else model.estimate(lead, with_misfit=True)
            effect = replace(
                effect,
                ci_low=found.ci_low,
                ci_high=found.ci_high,
                distinguishable=found.ci_high < 0,
                # Two scores are never farther apart.
                elsewhere_low=max(wide.ci_low, -2.0) if wide else None,
                elsewhere_high=min(wide.ci_high, 2.0) if wide else None,
            )
        effects.append(effect)
    return effects
