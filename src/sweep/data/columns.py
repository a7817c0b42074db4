"""Columns of a table of sentence pairs: found by name, number or path, and what they must hold.

Raises everywhere:
    DataError: names file, column and row of what is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sweep.core.arrays import Floats
from sweep.core.errors import DataError

_TRUTH = {"True": 1, "true": 1, "TRUE": 1, "False": 0, "false": 0, "FALSE": 0}
#: A column as the configuration names it: by name, by number, or the first of several names.
Column = str | int | tuple[str, ...]


def texts(table: pd.DataFrame, named: Column, origin: str) -> tuple[str, ...]:
    """The texts of a column `[N]`, whole numbers among them; an empty cell is refused."""
    column = _first_there(table, named)
    # JSON and Parquet may hold the text `2020` as a number.
    values = [str(v) if type(v) is int else v for v in _column(table, column, origin)]
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str):
            raise DataError(
                "Every text must be there.",
                value=f"column `{column}` of {origin} holds {value!r} in data row {row}",
                way_out="mend or remove the row; where a lone quote swallowed lines, "
                "set `data.quoting=false`",
            )
    return tuple(values)


def labels(
    table: pd.DataFrame, named: Column, origin: str, *, allowed: tuple[float, float]
) -> Floats:
    """The labels of a column `[N]`: numbers in `allowed`, its ends included, not all alike."""
    label = _first_there(table, named)
    place = f"column `{label}` of {origin}"
    values = _column(table, label, origin)
    # Text files are read as text, so that `007` stays: there, truth is a word.
    values = [_TRUTH.get(value, value) if isinstance(value, str) else value for value in values]
    numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(float)
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers)))
        raise DataError(
            "Every label must be a number.",
            value=f"{place} holds {values[row]!r} in data row {row + 1}",
            way_out=_struct_hint(values[row], label)
            or "mend the row, or name another column with `data.label=`",
        )
    _check_labels(numbers, allowed, place)
    return np.asarray(numbers, dtype=np.float64)


def _check_labels(numbers: Floats, allowed: tuple[float, float], place: str) -> None:
    """Refuse labels that are hidden, out of range, or all alike."""
    low, high = allowed
    if (numbers == -1).all():
        raise DataError(
            "Labels must be known.",
            value=f"{place} holds -1 everywhere, from data row 1: a hidden test split",
            way_out="take a split with labels",
        )
    outside = (numbers < low) | (numbers > high)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"Every label must lie in `data.label_range`, [{low:g}, {high:g}].",
            value=f"{place} holds {numbers[row]:g} in data row {row + 1}",
            way_out="set `data.label_range=[lowest,highest]`, or name another column",
        )
    if numbers.min() == numbers.max() and len(numbers) > 1:
        raise DataError(
            "Labels must differ: without variance there is no correlation.",
            value=f"{place} holds {numbers[0]:g} everywhere, from data row 1",
            way_out="name another column with `data.label=`",
        )


def has_column(table: pd.DataFrame, named: Column) -> bool:
    return _is_there(table, _first_there(table, named))


def _first_there(table: pd.DataFrame, column: Column) -> str | int:
    """The first column of a list that the table has; the first of all if it has none."""
    columns = column if isinstance(column, tuple) else (column,)
    return next((c for c in columns if _is_there(table, c)), columns[0])


def _column(table: pd.DataFrame, column: str | int, origin: str) -> list[Any]:
    """A column by name, by number, or by a dotted path into a struct."""
    if column in table.columns:
        return table[column].tolist()
    values = table.to_dict("records")
    if isinstance(column, str) and _is_there(table, column):
        return [_follow(row, column) for row in values]
    raise DataError(
        f"The column `{column}` must exist in {origin}.",
        value=f"columns: {', '.join(_paths(values[0]))}",
        way_out="set `data.text_a`, `data.text_b` and `data.label` to columns that exist; "
        "for `predict`, `--text-a`, `--text-b` and `--label`",
    )


def _is_there(table: pd.DataFrame, column: str | int) -> bool:
    if column in table.columns:
        return True
    known = isinstance(column, str) and len(table) > 0
    return known and column in _paths(table.iloc[0].to_dict())


def _follow(row: Any, path: str) -> Any:
    for part in path.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def _paths(row: dict[Any, Any], prefix: str = "") -> list[str]:
    """Dotted paths of all cells of a row, structs opened."""
    paths: list[str] = []
    for key, value in row.items():
        inner = _paths(value, f"{prefix}{key}.") if isinstance(value, dict) else None
        paths += inner or [f"{prefix}{key}"]
    return paths


def _struct_hint(value: object, column: str | int) -> str:
    if not isinstance(value, dict):
        return ""
    fields = ", ".join(f"`data.label={column}.{key}`" for key in value)
    return f"it is a struct; name a field: {fields}"
