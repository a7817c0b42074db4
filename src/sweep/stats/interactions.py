"""How far the difference between two levels of a key depends on the other keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.words import TOGETHER, setting
from sweep.stats.by_level import matches
from sweep.stats.comparison import Comparison
from sweep.stats.family import Family
from sweep.stats.levels import Factor, is_balanced

if TYPE_CHECKING:
    from sweep.stats.effects import Effect


@dataclass(frozen=True, eq=False)
class _Leads:
    """By how much the best level of a factor is ahead of one other, at each level of a second."""

    effect: Effect
    beside: Factor
    weights: Floats

    @property
    def pairs(self) -> Iterator[Floats]:
        """How much more it is at one level than at another."""
        return (one - other for one, other in combinations(self.weights, 2))


def with_interactions(
    effects: Sequence[Effect], factors: Sequence[Factor], comparison: Comparison
) -> list[Effect]:
    """The same, with the range over pairs of configs, and where a difference is surely largest.

    Only of differences that are sure: so a study in which nothing matters says no more of this
    than of that. All of them are held against one error of 5 %.
    """
    by_key = {factor.key: factor for factor in factors}
    best = {e.key: e.level for e in effects if e.difference == 0}
    ranged = [_with_range(e, best[e.key], by_key[e.key], factors, comparison) for e in effects]
    found = [
        _leads(effect, best[effect.key], by_key[effect.key], beside)
        for effect, beside in product(ranged, factors)
        if effect.distinguishable
        and beside.key != effect.key
        and is_balanced(by_key[effect.key], factors)
    ]
    family = Family.of((pair for leads in found for pair in leads.pairs), comparison)
    most: dict[tuple[str, str], list[str]] = {}
    for leads in found:
        where = _most_at(leads, family, comparison)
        if where is not None:
            most.setdefault((leads.effect.key, leads.effect.level), []).append(where)
    return [replace(e, most_at=_joined(most, e)) for e in ranged]


def _with_range(
    effect: Effect, best: str, factor: Factor, factors: Sequence[Factor], comparison: Comparison
) -> Effect:
    level, first = factor.levels.index(effect.level), factor.levels.index(best)
    means = comparison.means
    apart = [
        float(means[one] - means[other])
        for match in matches(factor, factors)
        for one, other in product(match.get(level, ()), match.get(first, ()))
    ]
    if level == first or len(apart) < 2:
        return effect
    return replace(effect, cells_low=min(apart), cells_high=max(apart))


def _leads(effect: Effect, best: str, factor: Factor, beside: Factor) -> _Leads:
    level, first = factor.levels.index(effect.level), factor.levels.index(best)
    of_factor, of_other = np.array(factor.of_config), np.array(beside.of_config)
    rows = []
    for place in range(len(beside.levels)):
        ahead, behind = (((of_factor == x) & (of_other == place)) for x in (first, level))
        rows.append(ahead / ahead.sum() - behind / behind.sum())
    return _Leads(effect, beside, np.array(rows))


def _most_at(leads: _Leads, family: Family, comparison: Comparison) -> str | None:
    """The level of the second key at which the lead is largest, where that is sure."""
    sizes = leads.weights @ comparison.means
    most, least = leads.weights[sizes.argmax()], leads.weights[sizes.argmin()]
    if family.interval(most - least, comparison).ci_low <= 0:
        return None
    keys = leads.beside.key.split(TOGETHER)
    levels = leads.beside.levels[sizes.argmax()].split(TOGETHER)
    return " ".join(setting(key, level) for key, level in zip(keys, levels, strict=True))


def _joined(most: Mapping[tuple[str, str], Sequence[str]], effect: Effect) -> str | None:
    return " and at ".join(most.get((effect.key, effect.level), ())) or None
