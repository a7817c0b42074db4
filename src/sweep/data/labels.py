"""Scores of sentence pairs: what the column of labels must hold.

Raises everywhere:
    DataError: names file, column and row of what is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sweep.core.arrays import Floats
from sweep.core.errors import DataError
from sweep.data.columns import SHOWN, Column, Named, column_of, short

#: How programs write truth in a text file.
TRUTH = {"True": 1, "true": 1, "TRUE": 1, "False": 0, "false": 0, "FALSE": 0}


def labels(
    table: pd.DataFrame,
    named: Named,
    origin: str,
    *,
    allowed: tuple[float, float],
    decimal: str | None = None,
) -> Floats:
    """The labels of a column `[N]`: numbers in `allowed`, its ends included, not all alike.

    Args:
        decimal: Sign before the decimals of numbers in text; None takes a comma where all of them
            are numbers with it, and none with a point.
    """
    column = column_of(table, named, origin)
    # Text files are read as text, so that `007` stays: there, truth is a word.
    values = [
        TRUTH.get(value, value) if isinstance(value, str) else value for value in column.cells
    ]
    numbers = _numbers(values, decimal, allowed)
    if not np.isfinite(numbers).all():
        place = int(np.argmin(np.isfinite(numbers)))
        raise DataError(
            "Every label must be a number.",
            value=column.at(place),
            way_out=_hint(values[place], column.name)
            or "mend the row, or name another column with `data.label=`",
        )
    _check(numbers, allowed, column)
    return numbers


def _numbers(values: list[Any], decimal: str | None, allowed: tuple[float, float]) -> Floats:
    """What the labels are as numbers; NaN where they are none."""
    plain = _to_numbers(values)
    if decimal == "." or (decimal is None and np.isfinite(plain).all()):
        return plain
    commas = [isinstance(value, str) and "," in value for value in values]
    swapped = [
        None if isinstance(value, str) and "." in value
        else value.replace(",", ".", 1) if isinstance(value, str) else value
        for value in values
    ]  # fmt: skip
    found = _to_numbers(swapped)
    if decimal == ",":
        return found
    no_doubt = (
        np.isfinite(found).all() and (found >= allowed[0]).all() and (found <= allowed[1]).all()
    )
    return found if no_doubt and any(commas) and not _may_be_thousands(values, allowed) else plain


def _may_be_thousands(values: list[Any], allowed: tuple[float, float]) -> bool:
    """Whether `1,234` may as well be a whole number in the range."""
    texts = [value for value in values if isinstance(value, str) and "," in value]
    whole = _to_numbers([value.replace(",", "") for value in texts])
    return all(len(value.strip().partition(",")[2]) == 3 for value in texts) and bool(
        (whole <= allowed[1]).all()
    )


def _to_numbers(values: list[Any]) -> Floats:
    found = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce")
    return np.asarray(found.to_numpy(float), dtype=np.float64)


def _check(numbers: Floats, allowed: tuple[float, float], column: Column) -> None:
    """Refuse labels that are hidden, out of range, or all alike."""
    low, high = allowed
    place, first = f"column `{column.name}` of {column.origin}", f"data row {column.rows[0]}"
    if (numbers == -1).all():
        raise DataError(
            "Labels must be known.",
            value=f"{place} holds -1 everywhere, from {first}: a hidden test split",
            way_out="take a split with labels",
        )
    outside = (numbers < low) | (numbers > high)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"Every label must lie in `data.label_range`, [{low:g}, {high:g}].",
            value=f"{place} holds {numbers[row]:g} in data row {column.rows[row]}",
            way_out="set `data.label_range=[lowest,highest]`, or name another column",
        )
    if numbers.min() == numbers.max() and len(numbers) > 1:
        raise DataError(
            "Labels must differ: without variance there is no correlation.",
            value=f"{place} holds {numbers[0]:g} everywhere, from {first}",
            way_out="name another column with `data.label=`",
        )


def _hint(value: object, column: str | int) -> str:
    """What helps where a label is no number."""
    if isinstance(value, dict):
        fields = ", ".join(f"`data.label={column}.{short(str(key))}`" for key in [*value][:SHOWN])
        return f"it is a struct; name a field: {fields}"
    if isinstance(value, str) and "," in value:
        return 'where the comma is for decimals: `data.decimal=","`; for `predict`, `--decimal ,`'
    return ""
