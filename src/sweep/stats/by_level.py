"""What the scores say of each factor: means of its levels, and configs that differ in it alone.

Plain numbers beside the effects, without intervals: for plots, and for studies whose predictions
are not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import spearmanr

from sweep.core.arrays import Floats
from sweep.stats.levels import Factor, LevelMeans

#: Level of a factor to its configs, all of them alike but for this factor. A level has several
#: where they differ in what is no factor.
Match = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Level:
    """A level beside the best one of its factor.

    `below` is how far its mean lies below that of the best. `pairs` are pairs of configs that
    differ in these two levels alone; the best level is higher in `wins` of them.
    """

    name: str
    num_configs: int
    mean: float
    below: float
    pairs: int = 0
    wins: int = 0


@dataclass(frozen=True)
class FactorScores:
    """What the scores say of a factor.

    `matches` are configs that differ in this factor alone, in groups of two levels or more; a
    range has none, for configs of one third differ in it as those of two do. `correlation` is the
    rank correlation of a range with the score.
    """

    factor: Factor
    levels: tuple[Level, ...]
    matches: tuple[Match, ...]
    #: Whether the means are at equal settings of the other keys.
    is_balanced: bool
    separation: float
    correlation: float | None = None

    @property
    def best(self) -> Level:
        return max(self.levels, key=lambda level: level.mean)

    @property
    def others(self) -> list[Level]:
        """All but the best, the nearest to it first."""
        best = self.best
        return sorted((x for x in self.levels if x is not best), key=lambda level: level.below)


@dataclass(frozen=True)
class Cell:
    """Configs with one level of each of two factors: their mean and their best score."""

    mean: float
    best: float
    num_configs: int


def scores_by_factor(factors: Sequence[Factor], means: Sequence[float]) -> list[FactorScores]:
    """What the scores `[K]` say of each factor; the one that separates them most comes first."""
    if not factors:
        return []
    model = LevelMeans(factors)
    found = [_scores(factor, model, means) for factor in factors]
    return sorted(found, key=lambda scores: -scores.separation)


def separation(of_config: Sequence[int], means: Sequence[float]) -> float:
    """Share of the scores' variance between levels, adjusted for the number of levels."""
    levels, scores = np.array(of_config), np.array(means, dtype=np.float64)
    kinds = np.unique(levels)
    free = len(scores) - len(kinds)
    total = float(scores.var(ddof=1)) if len(scores) > 1 else 0.0
    if free <= 0 or total <= 0:
        return 0.0
    inside = sum(float(scores[levels == kind].var()) * (levels == kind).sum() for kind in kinds)
    return float(1 - inside / free / total)


def matches(factor: Factor, factors: Sequence[Factor]) -> tuple[Match, ...]:
    """Configs that differ in this factor alone, in groups of two or more levels."""
    if factor.range is not None:
        return ()
    groups: dict[tuple[object, ...], dict[int, list[int]]] = {}
    for config, level in enumerate(factor.of_config):
        others = tuple(f.values[config] for f in factors if f is not factor)
        groups.setdefault(others, {}).setdefault(level, []).append(config)
    return tuple(match for match in groups.values() if len(match) > 1)


def cells(
    first: Factor, second: Factor, means: Sequence[float]
) -> Mapping[tuple[int, int], Cell] | None:
    """Configs by the levels of two factors; None where a cell tells no more than a row.

    That is so where the two were only varied together, such as pairs of rank and alpha.
    """
    found: dict[tuple[int, int], list[float]] = {}
    for place, mean in zip(zip(first.of_config, second.of_config, strict=True), means, strict=True):
        found.setdefault(place, []).append(mean)
    if len(found) <= max(len(first.levels), len(second.levels)):
        return None
    return {
        place: Cell(float(np.mean(scores)), max(scores), len(scores))
        for place, scores in found.items()
    }


def bands(means: Sequence[float], number: int) -> list[int]:
    """The band of each config, `[K]`: so many of equally many configs, the lowest scores first."""
    order = np.argsort(np.array(means), kind="stable")
    found = np.empty(len(means), dtype=np.int64)
    found[order] = np.arange(len(means)) * number // max(len(means), 1)
    return [int(band) for band in found]


def rank_correlation(knob: Sequence[float] | Floats, means: Sequence[float] | Floats) -> float:
    """Spearman's; 0 where one of them is constant."""
    if np.ptp(np.array(knob)) < 1e-9 or np.ptp(np.array(means)) < 1e-12:
        return 0.0
    return float(spearmanr(knob, means).statistic)


def _scores(factor: Factor, model: LevelMeans, means: Sequence[float]) -> FactorScores:
    scores = np.array(means, dtype=np.float64)
    weighed = [model.weights(factor, level) for level in range(len(factor.levels))]
    averages = [float(weights @ scores) for weights, _ in weighed]
    best = averages.index(max(averages))
    joined = matches(factor, model.factors)
    levels = []
    for level, (name, average) in enumerate(zip(factor.levels, averages, strict=True)):
        leads = _leads(joined, best, level, means) if level != best else []
        levels.append(
            Level(
                name,
                factor.of_config.count(level),
                average,
                averages[best] - average,
                pairs=len(leads),
                wins=sum(lead > 0 for lead in leads),
            )
        )
    numbers = factor.range.numbers if factor.range else None
    return FactorScores(
        factor,
        tuple(levels),
        joined,
        is_balanced=all(balanced for _, balanced in weighed),
        separation=separation(factor.of_config, means),
        correlation=rank_correlation(numbers, means) if numbers else None,
    )


def _leads(joined: Sequence[Match], best: int, level: int, means: Sequence[float]) -> list[float]:
    """By how much the best level is ahead in each pair that differs in this factor alone."""
    return [
        means[high] - means[low]
        for match in joined
        for high, low in product(match.get(best, ()), match.get(level, ()))
    ]
