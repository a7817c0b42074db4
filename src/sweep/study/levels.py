"""Configs by the levels of their settings: rows of the ranking, for the statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sweep.stats.by_level import FactorScores, scores_by_factor, separation
from sweep.stats.levels import Factor, factors_of
from sweep.study.rows import ConfigRow


def as_searched(rows: Sequence[ConfigRow]) -> tuple[ConfigRow, ...]:
    """Configs as the search scored them, its best first: what a setting does rests on these.

    A confirmed score is one of fresh seeds, without the luck of having led. Only the leaders
    have one, so beside the scores of the search it makes their settings look bad. Left out are
    configs that the search did not finish, and the intervals and seeds of confirmed scores.
    """
    if not any(row.confirmed for row in rows):
        return tuple(rows)
    found = [_as_searched(row, row.search_mean) for row in rows if row.search_mean is not None]
    return tuple(sorted(found, key=lambda row: -row.mean))


def by_factor(rows: Sequence[ConfigRow], keys: Sequence[str]) -> tuple[FactorScores, ...]:
    """What the scores say of each factor; the one that separates them most comes first."""
    return tuple(scores_by_factor(_factors(rows, keys), [row.mean for row in rows]))


def most_separating(
    rows: Sequence[ConfigRow], keys: Sequence[str], searched: Sequence[ConfigRow]
) -> tuple[Factor, ...]:
    """The factors of all configs, in the order of how far they separate what the search scored."""
    scores = {row.config_id: row.mean for row in searched}
    known = [place for place, row in enumerate(rows) if row.config_id in scores]
    means = [scores[rows[place].config_id] for place in known]

    def apart(factor: Factor) -> float:
        return separation([factor.of_config[place] for place in known], means)

    return tuple(sorted(_factors(rows, keys), key=lambda factor: -apart(factor)))


def _factors(rows: Sequence[ConfigRow], keys: Sequence[str]) -> list[Factor]:
    return factors_of([row.values for row in rows], keys)


def _as_searched(row: ConfigRow, mean: float) -> ConfigRow:
    if not row.confirmed:
        return dataclasses.replace(row, mean=mean)
    return dataclasses.replace(row, mean=mean, ci_low=None, ci_high=None, std=None)
