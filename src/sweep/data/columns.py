"""Columns of a table of sentence pairs: found by name, number or path, and what they must hold.

Raises everywhere:
    DataError: names file, column and row of what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweep.core.errors import DataError
from sweep.core.words import excerpt
from sweep.data.reading import tidied, unescaped

#: How programs write that there is no score; a text may well be one of these words.
NO_SCORE = frozenset(
    ("na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "nil", "?", "-", "")
)
#: Columns that a message names, of those that exist, and letters of each.
SHOWN, _LETTERS = 12, 40
#: A column as the configuration names it: by name, by number, or the first of several names.
Named = str | int | tuple[str | int, ...]


@dataclass(frozen=True)
class Column:
    """The cells `[N]` of a column, the data rows that they stand in, and words for both."""

    name: str | int
    cells: list[Any]
    rows: Sequence[int]
    origin: str

    def at(self, place: int) -> str:
        """`column `score` of dev.csv holds 'good' in data row 3`."""
        cell = self.cells[place]
        held = "nothing" if is_missing(cell) else excerpt(cell)
        return f"column `{self.name}` of {self.origin} holds {held} in data row {self.rows[place]}"


def is_missing(cell: Any, *, label: bool = False) -> bool:
    """Whether a cell is empty; a score is missing as well where a word says so."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)) or cell is pd.NA:
        return True
    if not isinstance(cell, str):
        return False
    text = cell.strip()
    return not text or (label and text.lower() in NO_SCORE)


@dataclass(frozen=True)
class Texts:
    """The texts `[N]` of a column; those that are none are empty, with what is wrong by place."""

    texts: tuple[str, ...]
    faults: Mapping[int, DataError]


def texts(table: pd.DataFrame, named: Named, origin: str) -> tuple[str, ...]:
    """The texts of a column `[N]`, whole numbers among them; an empty cell is refused."""
    return _faultless(texts_and_faults(column_of(table, named, origin)))


def texts_and_faults(column: Column) -> Texts:
    """The same of cells of which some may be no texts."""
    # JSON and Parquet may hold the text `2020` as a number.
    values = [str(v) if type(v) is int else v for v in column.cells]
    faults = {
        place: DataError(fault[0], value=column.at(place), way_out=fault[1])
        for place, value in enumerate(values)
        if (fault := _fault_of(value)) is not None
    }
    return Texts(tuple("" if i in faults else v for i, v in enumerate(values)), faults)


def _fault_of(value: Any) -> tuple[str, str] | None:
    """Rule and way out, where a cell is no text."""
    if not isinstance(value, str) or not value.strip():
        return (
            "Every text must be there.",
            "mend or remove the row; where a lone quote swallowed lines, set `data.quoting=false`",
        )
    if not _is_whole(value):
        return (
            "Every text must be whole: half of a character can't be read by a model.",
            "mend or remove the row; who cut the text cut an emoji in two",
        )
    return None


def _faultless(found: Texts) -> tuple[str, ...]:
    if found.faults:
        raise found.faults[min(found.faults)]
    return found.texts


def _is_whole(text: str) -> bool:
    """Whether it has no half of a surrogate pair, which JSON may hold behind `\\u`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def both_texts(
    table: pd.DataFrame, named: Named, origin: str, *, between: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The two texts of each cell of a column."""
    both = both_and_faults(column_of(table, named, origin), between=between)
    return _faultless(both[0]), both[1].texts


def both_and_faults(column: Column, *, between: str) -> tuple[Texts, Texts]:
    """The same of cells of which some may not hold two texts."""
    between = unescaped(between)
    found = texts_and_faults(column)
    faults, pairs = dict(found.faults), []
    for place, text in enumerate(found.texts):
        # A cell that is split at line ends may end in one.
        parts = [part.strip() for part in text.strip().split(between)]
        if len(parts) != 2 or not all(parts):
            faults.setdefault(place, _not_two(column, place, len(parts), between))
            parts = ["", ""]
        pairs.append((parts[0], parts[1]))
    first, second = (tuple(pair[side] for pair in pairs) for side in (0, 1))
    return Texts(first, faults), Texts(second, faults)


def _not_two(column: Column, place: int, number: int, between: str) -> DataError:
    return DataError(
        f"Every cell must hold two texts, parted by `data.split_text` ({between!r}).",
        value=f"{column.at(place)}: {number} of them",
        way_out="mend the row, or set `data.split_text` to what stands between the texts",
    )


def has_column(table: pd.DataFrame, named: Named) -> bool:
    return _is_there(table, _first_there(table, named))


def column_of(table: pd.DataFrame, named: Named, origin: str) -> Column:
    """A column by name, by number, or by a dotted path into a struct."""
    name = _first_there(table, named)
    if not _is_there(table, name):
        raise _no_column(table, name, origin)
    if name in table.columns:
        cells = table[name].tolist()
    elif isinstance(name, int):
        cells = table.iloc[:, name].tolist()
    else:
        top, _, inner = name.partition(".")
        cells = [_follow(cell, inner) for cell in table[top].tolist()]
    return Column(name, cells, table.index.tolist(), origin)


def column_or_none(table: pd.DataFrame, named: Named, origin: str) -> Column:
    """The same of a part of a table: a column that it lacks has nothing in it."""
    if has_column(table, named):
        return column_of(table, named, origin)
    name = tidied(named if isinstance(named, tuple) else (named,))[0]
    return Column(name, [None] * len(table), table.index.tolist(), origin)


def _no_column(table: pd.DataFrame, name: str | int, origin: str) -> DataError:
    there = _paths(table.iloc[0].to_dict() if len(table) else dict.fromkeys(table.columns))
    twice = [path for path in there if str(path).startswith(f"{name}#")]
    some = ", ".join(short(path) for path in there[:SHOWN])
    more = f" and {len(there) - SHOWN:,} more" if len(there) > SHOWN else ""
    if twice:
        return DataError(
            f"The column `{name}` must stand once in {origin}.",
            value=f"columns: {some}{more}",
            way_out=f"name one of {', '.join(map(short, twice[:SHOWN]))}, or number its columns: "
            "`data.header=true` and numbers from 0",
        )
    inside = next((path for path in there if str(path).endswith(f".{name}")), "its name there")
    return DataError(
        f"The column `{name}` must exist in {origin}.",
        value=f"columns: {some}{more}",
        way_out="set `data.text_a`, `data.text_b` and `data.label` to columns that exist (for "
        "`predict`, `--text-a`, `--text-b` and `--label`); where another split has it, list both: "
        f"`[{name},{inside}]`; where lines stand above the header, `data.skip_lines`; where the "
        "file has none, number its columns from 0",
    )


def short(path: str) -> str:
    return path if len(path) <= _LETTERS else f"{path[: _LETTERS - 1]}…"


def _first_there(table: pd.DataFrame, column: Named) -> str | int:
    """The first column of a list that the table has; the first of all if it has none."""
    columns = tidied(column if isinstance(column, tuple) else (column,))
    return next((c for c in columns if _is_there(table, c)), columns[0])


def _is_there(table: pd.DataFrame, column: str | int) -> bool:
    if column in table.columns:
        return True
    if isinstance(column, int):
        return 0 <= column < table.shape[1]
    top = column.partition(".")[0]
    if top == column or top not in table.columns:
        return False
    # Of a struct that is not in every row, the first one tells.
    structs = (cell for cell in table[top].tolist() if isinstance(cell, dict))
    return column in _paths({top: next(structs, None)})


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
