"""Searched dimensions: their levels, and which configs differ in one of them alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweep.watch.report.words import setting, short

#: Level of a factor to (id, mean score) of its configs, all of them alike but for this factor.
#: A level has several where they differ in what is no factor.
Match = Mapping[str, Sequence[tuple[str, float]]]

#: Distinct numbers of one key above which they are seen as a range, in thirds.
_MAX_LEVELS = 8
#: The same for numbers drawn from a range.
_MAX_DRAWN = 3


@dataclass(frozen=True)
class Factor:
    """A searched dimension: one key, or keys that were varied together.

    `values` are exact, by config id. `levels` are what a figure colours by: the values, or
    thirds of a range, whose `numbers` are then given.
    """

    name: str
    keys: tuple[str, ...]
    levels: tuple[str, ...]
    level_of: Mapping[str, str]
    values: Mapping[str, str]
    numbers: Mapping[str, float] | None = None
    log: bool = False


def factor_of(configs: pd.DataFrame, keys: Sequence[str], *, drawn: bool = False) -> Factor:
    """The factor that these keys make together; many numbers are put into thirds.

    Args:
        drawn: The values were drawn from a range, so that hardly two configs share one.
    """
    column = configs[keys[0]]
    many = column.nunique() > (_MAX_DRAWN if drawn else _MAX_LEVELS)
    if len(keys) == 1 and many and pd.api.types.is_numeric_dtype(column):
        return _range_factor(configs, keys[0])
    ids = configs["config_id"]
    alone = len(keys) == 1
    columns = list(keys)
    ordered = configs.drop_duplicates(columns).sort_values(columns)[columns].to_dict("records")

    def words(row: Mapping[Any, Any]) -> str:
        return ", ".join(setting(key, value, bare=alone) for key, value in row.items())

    rows = configs[columns].to_dict("records")
    level_of = dict(zip(ids, map(words, rows), strict=True))
    levels = tuple(dict.fromkeys(map(words, ordered)))
    # Words are rounded: configs that differ behind the third digit are not alike.
    exact = dict(zip(ids, map(str, rows), strict=True))
    return Factor(_name(keys), tuple(keys), levels, level_of, exact)


def separation(configs: pd.DataFrame, factor: Factor) -> float:
    """Share of the scores' variance between levels, adjusted for their number."""
    levels = configs["config_id"].map(factor.level_of)
    inside = configs["mean"] - configs["mean"].groupby(levels).transform("mean")
    free = len(configs) - levels.nunique()
    total = float(configs["mean"].var()) if len(configs) > 1 else 0.0
    return 1 - float((inside**2).sum()) / free / total if free > 0 and total > 0 else 0.0


def matches(configs: pd.DataFrame, factor: Factor, factors: Sequence[Factor]) -> list[Match]:
    """Configs that differ in this factor alone, in groups of two or more levels.

    None for thirds of a range: configs of one third differ in the factor as those of two do.
    """
    if factor.numbers is not None:
        return []
    groups: dict[tuple[str, ...], dict[str, list[tuple[str, float]]]] = {}
    for config_id, mean in zip(configs["config_id"], configs["mean"], strict=True):
        others = tuple(f.values[config_id] for f in factors if f is not factor)
        levels = groups.setdefault(others, {})
        levels.setdefault(factor.level_of[config_id], []).append((config_id, mean))
    return [match for match in groups.values() if len(match) > 1]


def _range_factor(configs: pd.DataFrame, key: str) -> Factor:
    ids, column = configs["config_id"], configs[key]
    thirds = pd.qcut(column, 3, duplicates="drop")
    ends = column.groupby(thirds, observed=True).agg(["min", "max"])
    names = {third: f"{low:.3g} to {high:.3g}" for third, low, high in ends.itertuples()}
    return Factor(
        short(key),
        (key,),
        levels=tuple(names.values()),
        level_of={i: names[third] for i, third in zip(ids, thirds, strict=True)},
        values=dict(zip(ids, column.map(str), strict=True)),
        numbers=dict(zip(ids, column.astype(float), strict=True)),
        log=bool(column.min() > 0 and column.max() > 10 * column.min()),
    )


def _name(keys: Sequence[str]) -> str:
    return " and ".join(short(key) for key in keys)
