"""What each searched key does to the score, balanced for the others, and how sure that is.

The mean of a level is that of an additive least-squares model with every config set to that
level. On a full grid it is the plain mean over the level's cells: levels are compared within cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from sweep.core.arrays import Floats
from sweep.stats.comparison import ERROR, Comparison
from sweep.stats.interval import Interval

#: Distinct numbers of one key above which they are seen as a range, in thirds.
MAX_LEVELS = 8
#: Pearson points that are rounding.
_NOTHING = 1e-9
#: Bootstrap resamples of the configs.
NUM_CONFIG_RESAMPLES = 400


@dataclass(frozen=True)
class Factor:
    """A key and the level of each config, `[K]` indices into `levels`.

    Keys that change together can't be told apart: they are one factor, `lora.r + lora.lora_alpha`.
    """

    key: str
    levels: tuple[str, ...]
    of_config: tuple[int, ...]


@dataclass(frozen=True)
class Effect:
    """A level beside the best level of its key: Pearson points, with a 95 % interval.

    The best level itself has difference 0 and no interval.
    """

    key: str
    level: str
    num_configs: int
    mean: float
    difference: float
    ci_low: float | None = None
    ci_high: float | None = None
    distinguishable: bool = False


@dataclass(frozen=True)
class Importance:
    """Share of the scores' variance between configs that a key explains, with a 95 % interval."""

    key: str
    importance: float
    ci_low: float
    ci_high: float


def factors_of(configs: Sequence[Mapping[str, object]], keys: Sequence[str]) -> list[Factor]:
    """The keys that vary; numbers with many values in thirds, keys that change together as one."""
    found: dict[tuple[int, ...], list[Factor]] = {}
    for key in keys:
        factor = _factor(key, [config[key] for config in configs])
        if len(factor.levels) > 1:
            found.setdefault(_partition(factor.of_config), []).append(factor)
    return [_merged(together) for together in found.values()]


def main_effects(factors: Sequence[Factor], comparison: Comparison) -> list[Effect]:
    """Every level of every factor, for the configs of the comparison.

    The intervals of a key hold for all pairs of its levels at once, and so for any choice of the
    best one. They hold dev pairs and seeds; where the seed's luck is not known or the design is
    not balanced, also what the additive model leaves.
    """
    model = _Model(_design(factors), comparison)
    return [effect for factor in factors for effect in _levels(factor, factors, model)]


def importances(factors: Sequence[Factor], means: Floats) -> list[Importance]:
    """Each factor's share of the variance, highest first; bootstrapped over configs.

    The main-effect part of a functional ANOVA (Hutter et al., ICML 2014), with the additive model
    as surrogate: exact on a full grid. Of few configs every key explains something.
    """
    draws = resampled_configs(len(means))
    design = _design(factors)
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
    design = _design(factors)
    product = (first - first.mean()) * (second - second.mean())
    alone = product - design @ (np.linalg.pinv(design) @ product)
    if alone @ alone < 1e-9 * max(1.0, float(product @ product)):
        return None
    model = _Model(np.column_stack([design, product]), comparison)
    return model.estimate(alone / (alone @ alone), with_misfit=True)


class _Model:
    """Least squares over the configs' means."""

    def __init__(self, design: Floats, comparison: Comparison) -> None:
        self.design, self.inverse = design, np.linalg.pinv(design)
        self.comparison = comparison
        self._free = len(design) - int(np.linalg.matrix_rank(design))
        rest = comparison.means - design @ (self.inverse @ comparison.means)
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


def _levels(factor: Factor, factors: Sequence[Factor], model: _Model) -> list[Effect]:
    weights = [_level_weights(factor, i, factors, model) for i in range(len(factor.levels))]
    means = [float(w @ model.comparison.means) for w in weights]
    best = means.index(max(means))
    misfit = model.comparison.seed_sd is None or not _is_balanced(factor, factors)
    stretch = _stretch(model.comparison.deviations @ np.array(weights).T)
    effects = []
    for index, level in enumerate(factor.levels):
        count = factor.of_config.count(index)
        effect = Effect(factor.key, level, count, means[index], means[index] - means[best])
        found = model.estimate(
            weights[index] - weights[best],
            with_misfit=misfit,
            stretch=stretch,
            pairs=math.comb(len(means), 2),
        )
        if index != best and found is not None:
            effect = replace(
                effect,
                ci_low=found.ci_low,
                ci_high=found.ci_high,
                distinguishable=found.ci_high < 0,
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


def _level_weights(factor: Factor, level: int, factors: Sequence[Factor], model: _Model) -> Floats:
    """Weights of the configs' means in the mean of a level, `[K]`.

    Where other keys change with this one so that the model can't separate them, it is the plain
    mean of the level.
    """
    count = len(factor.of_config)
    at_level = replace(factor, of_config=(level,) * count)
    row = _design([at_level if f is factor else f for f in factors]).mean(axis=0)
    weights = np.asarray(row @ model.inverse, dtype=np.float64)
    if np.allclose(weights @ model.design, row, atol=1e-6):
        return weights
    members = np.array(factor.of_config) == level
    return np.asarray(members / members.sum(), dtype=np.float64)


def _design(factors: Sequence[Factor]) -> Floats:
    """One column a level, `[K, levels]`, after a column of ones."""
    parts = [
        np.equal.outer(np.array(f.of_config), np.arange(len(f.levels))).astype(np.float64)
        for f in factors
    ]
    return np.column_stack([np.ones(len(factors[0].of_config)), *parts])


def _is_balanced(factor: Factor, factors: Sequence[Factor]) -> bool:
    """Whether each level meets the same settings of the other keys, equally often."""
    met: dict[int, list[tuple[int, ...]]] = {}
    for config, level in enumerate(factor.of_config):
        rest = tuple(f.of_config[config] for f in factors if f is not factor)
        met.setdefault(level, []).append(rest)
    groups = [sorted(rest) for rest in met.values()]
    return all(group == groups[0] for group in groups)


def _factor(key: str, values: Sequence[object]) -> Factor:
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == len(values) and len(set(numbers)) > MAX_LEVELS:
        return _in_thirds(key, np.array(numbers, dtype=np.float64))
    kinds = sorted(set(values), key=lambda v: (v not in numbers, v if v in numbers else str(v)))
    return Factor(key, tuple(map(_text, kinds)), tuple(kinds.index(v) for v in values))


def _in_thirds(key: str, numbers: Floats) -> Factor:
    """Levels with a third of the configs each, named by their ends."""
    ends = np.quantile(numbers, [1 / 3, 2 / 3])
    third = np.searchsorted(ends, numbers, side="left")
    kinds = sorted(set(third.tolist()))
    names = [
        f"{numbers[third == kind].min():.3g} to {numbers[third == kind].max():.3g}"
        for kind in kinds
    ]
    return Factor(key, tuple(names), tuple(kinds.index(kind) for kind in third.tolist()))


def _merged(together: Sequence[Factor]) -> Factor:
    """Factors with the same partition of the configs, as one."""
    first = together[0]
    if len(together) == 1:
        return first
    names = [
        " + ".join(f.levels[f.of_config[first.of_config.index(level)]] for f in together)
        for level in range(len(first.levels))
    ]
    return Factor(" + ".join(f.key for f in together), tuple(names), first.of_config)


def _partition(levels: Sequence[int]) -> tuple[int, ...]:
    """The same for two factors that tell the same configs apart."""
    seen: dict[int, int] = {}
    return tuple(seen.setdefault(level, len(seen)) for level in levels)


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)
