"""Classes by name: what the labels of a classification say, and which number each has.

Raises everywhere:
    DataError: names file, column and row of what is wrong.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sweep.core.arrays import Floats
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.core.words import counted, excerpt
from sweep.data.columns import Column, Named, column_of
from sweep.data.findings import Finding, Split
from sweep.data.rows import rows_that_count
from sweep.data.sources import table_of

#: More are no classes, but scores or texts.
_MOST = 200
#: Share of the train rows below which a class is told of as rare.
_RARE = 0.01


def classes_in(data: Data) -> tuple[str, ...]:
    """What the labels of the train rows say, numbers by size, texts in their order."""
    table, origin = table_of(data, "train")
    table, _ = rows_that_count(table, data, "train", origin)
    column = column_of(table, data.label, origin)
    names = sorted({_name(cell) for cell in column.cells}, key=_order)
    if len(names) > _MOST:
        raise DataError(
            f"A classification has at most {_MOST} classes.",
            value=f"column `{column.name}` of {origin} holds {len(names):,} different labels, "
            f"as {', '.join(map(excerpt, names[:4]))}",
            way_out="name the column of the classes with `data.label=`, or set `task=regression`",
        )
    return tuple(names)


def class_numbers(
    table: pd.DataFrame, named: Named, origin: str, *, classes: Sequence[str]
) -> Floats:
    """The number of each row's class `[N]`, in the order of the classes.

    Labels are the names of the classes; where classes have names and all labels are numbers, they
    are places in that order, as data sets on the Hub have them.
    """
    column = column_of(table, named, origin)
    names = [_name(cell) for cell in column.cells]
    places = {name: place for place, name in enumerate(classes)}
    if not any(map(_is_number, classes)) and all(map(_is_number, names)):
        places = {str(place): place for place in range(len(classes))}
    if set(names) == {"-1"} and "-1" not in places:
        raise DataError(
            "Labels must be known.",
            value=f"column `{column.name}` of {origin} holds -1 everywhere: a hidden test split",
            way_out="take a split with labels",
        )
    unknown = next((place for place, name in enumerate(names) if name not in places), None)
    if unknown is not None:
        raise _unknown(column, unknown, names, places)
    numbers = np.array([places[name] for name in names], dtype=np.float64)
    if numbers.min() == numbers.max() and len(numbers) > 1:
        raise DataError(
            "Labels must differ: with one class there is nothing to tell apart.",
            value=f"column `{column.name}` of {origin} holds {excerpt(names[0])} everywhere",
            way_out="name another column with `data.label=`",
        )
    return numbers


def class_findings(labels: Mapping[Split, Floats], classes: Sequence[str]) -> list[Finding]:
    """How many rows each class has, and the classes that a split lacks."""
    found = []
    for split, numbers in labels.items():
        counts = np.bincount(numbers.astype(int), minlength=len(classes))
        named = list(zip(classes, counts.tolist(), strict=True))
        lacking = [name for name, count in named if count == 0]
        rare = [name for name, count in named if 0 < count < _RARE * len(numbers)]
        if lacking:
            sentence = f"{split} has no row of {counted(len(lacking), 'class', 'classes')}: "
            found.append(_finding(split, sentence + ", ".join(lacking), len(numbers), "warn"))
        if rare:
            sentence = f"less than {_RARE:.0%} of {split} is of {', '.join(rare)}"
            found.append(_finding(split, sentence, len(numbers), "warn"))
        shares = ", ".join(f"{name} {count / len(numbers):.0%}" for name, count in named[:8])
        more = f" and {len(named) - 8} more" if len(named) > 8 else ""
        found.append(_finding(split, f"{split}: {shares}{more}", len(numbers), "info"))
    return found


def class_names(numbers: Floats, classes: Sequence[str]) -> list[str]:
    """What predictions `[N]` say."""
    return [classes[int(number)] for number in numbers]


def _finding(split: Split, sentence: str, count: int, level: Any) -> Finding:
    return Finding("classes", level, (split,), sentence, count)


def _unknown(
    column: Column, place: int, names: Sequence[str], known: Mapping[str, int]
) -> DataError:
    others = sorted({name for name in names if name not in known}, key=_order)
    some = ", ".join(map(excerpt, others[:6])) + (", ..." if len(others) > 6 else "")
    return DataError(
        f"Every label must be a class: {', '.join(known)}.",
        value=f"{column.at(place)}; unknown are {some}",
        way_out="set `data.classes=[...]` to all of them, or name another column with "
        "`data.label=`",
    )


def _name(cell: Any) -> str:
    """`2` and `2.0` are the same, and so are `True` and `true`."""
    text = unicodedata.normalize("NFC", str(cell).strip())
    if text in ("True", "TRUE", "False", "FALSE"):
        return text.lower()
    whole, _, decimals = text.partition(".")
    return whole if decimals and not decimals.strip("0") and _is_number(whole) else text


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal()


def _order(name: str) -> tuple[bool, int, str]:
    return (False, int(name), name) if _is_number(name) else (True, 0, name)
