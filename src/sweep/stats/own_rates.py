"""Ranks compared at their own best learning rates.

A table of scores at one learning rate compares ranks at that rate. Where the rate was searched,
too, the score over the log of the rate has a top for each rank and alpha rule (`shared_shape`):
where it lies is the best rate, how high it is tells what the rank is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import t as student

from sweep.core.arrays import Floats
from sweep.stats.interval import Interval
from sweep.stats.rank_law import rules_of
from sweep.stats.rate_table import FEWEST_RATES, RateTable, Scored, in_cells
from sweep.stats.shared_shape import Shape, fitted

#: A rate so near to an end of those that were tried may as well lie beyond it.
_NEAR = 1.1
#: Of a log rate, for weights: below it, the shape itself is not known.
_LEAST_ERROR = 0.1


@dataclass(frozen=True)
class BestRate:
    """The own best learning rate of a rank under an alpha rule, and the score there.

    `at_end` says that it lies at an end of the rates that were tried, or beyond.
    """

    rule: str
    rank: str
    r: float
    num_configs: int
    rate: Interval
    score: Interval
    at_end: bool


@dataclass(frozen=True)
class RateSlope:
    """The log of the best rate over the log of the rank, under one alpha rule.

    `law` is what the rank law expects. `drift` is the best rate of the highest rank over that of
    the lowest, on the fitted line.
    """

    rule: str
    slope: Interval
    law: float
    drift: Interval
    low_rank: float
    high_rank: float

    @property
    def is_as_expected(self) -> bool:
        return self.slope.ci_low <= self.law <= self.slope.ci_high


@dataclass(frozen=True)
class AtOwnRate:
    """A level at its own best rate, beside the best level of its key: points of the score.

    The intervals hold for all levels of all keys at once. The best level itself has difference 0.
    """

    key: str
    level: str
    difference: Interval

    @property
    def is_best(self) -> bool:
        return self.difference.ci_low == self.difference.ci_high == 0.0


@dataclass(frozen=True)
class OwnRates:
    """What a study says of ranks at their own best rates.

    `missing` says why it says nothing, where both were searched.
    """

    rates: tuple[BestRate, ...] = ()
    slopes: tuple[RateSlope, ...] = ()
    effects: tuple[AtOwnRate, ...] = ()
    num_configs: int = 0
    missing: str = ""


def own_rates(
    configs: Sequence[Scored],
    *,
    moving: Sequence[str] = (),
    ends: tuple[float, float] = (-1.0, 1.0),
) -> OwnRates | None:
    """The best rate of each rank, how it moves with the rank, and what ranks, alpha rules and
    other settings are worth at their own; None where rank and rate were not both searched.

    Args:
        moving: Keys of `others` whose levels may have best rates of their own.
        ends: Scores lie between them.
    """
    adapters = [config.adapter for config in configs]
    rates = {round(math.log(config.rate), 9) for config in configs}
    if len({a.rank for a in adapters}) < 2 or len(rates) < FEWEST_RATES:
        return None
    rules = rules_of(adapters)
    kept, cells = in_cells(configs, rules)
    if len({cell.band for cell in cells}) < 2:
        return OwnRates(missing="too few configs follow one alpha rule over several ranks")
    for others, moves in ((True, moving), (True, ()), (False, ())):
        table = RateTable(kept, cells, rules, others=others, moving=moves)
        shape = fitted(table.tried)
        if shape is not None:
            return _told(table, shape, ends)
    return OwnRates(
        num_configs=len(kept),
        missing=f"{len(kept)} configs that were trained to the end are too few for the own rates "
        f"of {len(set(cells))} ranks and rules, which take {table.tried.num_needed}",
    )


def _told(table: RateTable, shape: Shape, ends: tuple[float, float]) -> OwnRates:
    return OwnRates(
        tuple(_best_rates(table, shape, ends)),
        tuple(_slopes(table, shape)),
        tuple(_compared(shape, table.contrasts(shape))),
        len(table.configs),
    )


def _best_rates(table: RateTable, shape: Shape, ends: tuple[float, float]) -> list[BestRate]:
    low, high = math.exp(table.tried.rates.min()), math.exp(table.tried.rates.max())
    found = []
    for number, rule in enumerate(table.rules):
        for place in table.places_of(number):
            one = np.eye(len(table.cells))[place]
            rate = _exponential(shape.interval(shape.weights(shape.places, one)))
            score = _as_score(shape.interval(table.top(shape, one)), *ends)
            count = table.tried.cells.count(place)
            is_inside = low * _NEAR < rate.value < high / _NEAR
            name, r = table.band(table.cells[place].band)
            known = rate if is_inside else _within(rate, low, high)
            found.append(BestRate(rule.name, name, r, count, known, score, not is_inside))
    return found


def _slopes(table: RateTable, shape: Shape) -> list[RateSlope]:
    found = []
    for number, rule in enumerate(table.rules):
        places = table.places_of(number)
        ranks = np.array([table.band(table.cells[place].band)[1] for place in places])
        if len(places) > 1:
            slope = _slope(shape, places, np.log(ranks))
            drift = _exponential(_times(slope, math.log(ranks.max() / ranks.min())))
            ends = float(ranks.min()), float(ranks.max())
            found.append(RateSlope(rule.name, slope, rule.slope, drift, *ends))
    return found


def _slope(shape: Shape, places: Sequence[int], ranks: Floats) -> Interval:
    """By least squares over the ranks of a rule, weighted by how well their rates are known.

    Its interval is the wider one of two: by the errors of the rates, and by how far they scatter
    about the line.
    """
    own = [shape.weights(shape.places, row) for row in np.eye(shape.num_cells)[list(places)]]
    trust = 1 / np.maximum([shape.error(one) for one in own], _LEAST_ERROR) ** 2
    away = ranks - np.average(ranks, weights=trust)
    found = shape.interval((trust * away / (trust @ away**2)) @ np.array(own))
    free = len(places) - 2
    if free < 1:
        return found
    rates = np.array(own) @ shape.parameters
    rest = rates - np.average(rates, weights=trust) - found.value * away
    error = math.sqrt(float(trust @ rest**2 / free / (trust @ away**2)))
    half = max(found.ci_high - found.value, float(student.ppf(0.975, free)) * error)
    return Interval(found.value, found.value - half, found.value + half)


def _compared(shape: Shape, contrasts: Mapping[str, Mapping[str, Floats]]) -> list[AtOwnRate]:
    """Every level beside the best of its key."""
    pairs = [
        one - other
        for levels in contrasts.values()
        for one, other in combinations(levels.values(), 2)
    ]
    stretch = shape.joint_stretch(pairs)
    found = []
    for key, levels in contrasts.items():
        best = max(levels, key=lambda level: float(levels[level] @ shape.parameters))
        for level, weights in levels.items():
            apart = shape.interval(weights - levels[best], stretch=stretch)
            found.append(AtOwnRate(key, level, Interval(0.0, 0.0, 0.0) if level == best else apart))
    return found


def _exponential(found: Interval) -> Interval:
    """Of a logarithm; ends that are far out are no numbers of use."""
    ends = (min(max(end, -40.0), 40.0) for end in (found.value, found.ci_low, found.ci_high))
    return Interval(*(math.exp(end) for end in ends))


def _within(found: Interval, low: float, high: float) -> Interval:
    """With its value inside of what was tried: how far beyond it lies, nobody knows."""
    value = min(max(found.value, low), high)
    return Interval(value, min(found.ci_low, value), max(found.ci_high, value))


def _times(found: Interval, factor: float) -> Interval:
    return Interval(found.value * factor, found.ci_low * factor, found.ci_high * factor)


def _as_score(found: Interval, lowest: float, highest: float) -> Interval:
    """With its ends where a score may be."""
    return Interval(found.value, max(found.ci_low, lowest), min(found.ci_high, highest))
