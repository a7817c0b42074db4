"""A file of pairs of any size in windows of rows, and which of them are no pairs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.columns import (
    Column,
    Texts,
    both_and_faults,
    column_of,
    column_or_none,
    has_column,
    texts_and_faults,
)
from sweep.data.pairs import Pairs
from sweep.data.reading import Reading
from sweep.data.rows import LeftOut, RowChoice
from sweep.data.tables import read_tables

#: Rows of a window: enough of them have like lengths, and few are scored again after a kill.
WINDOW = 4_096
_MEND = "mend or remove the row"


@dataclass(frozen=True, eq=False)
class Window:
    """Rows of a file that count, one after the other.

    `faults` says, by place, why a row is no pair; such a row has the texts that it holds.
    """

    number: int
    text_a: Sequence[str]
    text_b: Sequence[str]
    single: bool
    faults: Mapping[int, DataError] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.text_a)

    @property
    def good(self) -> list[int]:
        """Places of the rows that are pairs."""
        return [place for place in range(len(self)) if place not in self.faults]

    def pairs(self, origin: str) -> Pairs:
        """The rows that are pairs, without labels."""
        first, second = (
            tuple(texts[place] for place in self.good) for texts in (self.text_a, self.text_b)
        )
        return Pairs(first, second, None, origin, single=self.single)


def looked_at(
    path: Path, data: Data, choice: RowChoice, *, skip: int = 0
) -> Iterator[tuple[Window, pd.DataFrame, LeftOut]]:
    """Windows from this number on, the rows that they are of, and what was left out of each."""
    broken: dict[int, str] = {}
    for number, part in enumerate(parts_of(path, data, broken)):
        if number < skip:
            broken.clear()
            continue
        in_part = {row: fault for row, fault in broken.items() if row in part.index}
        filled, asked = choice.masks(part)
        is_broken = part.index.isin(list(in_part))
        counts = (filled & asked) | is_broken
        rows = part[counts]
        above = part.attrs.get("lines_above", 0) if number == 0 else 0
        elsewhere = int((filled & ~asked & ~is_broken).sum())
        left = LeftOut(int((~filled & ~is_broken).sum()), 0, elsewhere, above)
        if number == 0:
            _refuse_other_columns(path, part, data, in_part)
        yield _window(number, rows, data, str(path), in_part), rows, left
        for row in in_part:
            del broken[row]


def _refuse_other_columns(
    path: Path, part: pd.DataFrame, data: Data, broken: Collection[int]
) -> None:
    """Raises:
    DataError: a column of texts is not there.
    """
    named = [data.text_a, *([] if data.split_text else [data.text_b])]
    for text in named:
        if text is not None and len(part) and not has_column(part, text):
            if broken:
                refuse_broken(path, data)
            column_of(part, text, str(path))


def refuse_broken(path: Path, data: Data) -> None:
    """Raises:
    DataError: rows can't be cut into cells: says what may be set otherwise.
    """
    for _ in read_tables(path, Reading.of(data), rows=WINDOW):
        pass


def _window(
    number: int, rows: pd.DataFrame, data: Data, origin: str, broken: Mapping[int, str]
) -> Window:
    first, second = _texts(rows, data, origin)
    faults = {**second.faults, **first.faults}
    for place, row in enumerate(rows.index):
        if row in broken:
            faults[place] = DataError("Every row must be whole.", value=broken[row], way_out=_MEND)
    return Window(number, first.texts, second.texts, data.text_b is None, faults)


def _texts(rows: pd.DataFrame, data: Data, origin: str) -> tuple[Texts, Texts]:
    def column(named: Any) -> Column:
        return column_or_none(rows, named, origin)

    if data.split_text:
        return both_and_faults(column(data.text_a), between=data.split_text)
    first = texts_and_faults(column(data.text_a))
    if data.text_b is None:
        return first, Texts(("",) * len(rows), {})
    return first, texts_and_faults(column(data.text_b))


def parts_of(path: Path, data: Data, broken: dict[int, str]) -> Iterator[pd.DataFrame]:
    """The rows of a file, a window at a time, whatever it keeps together."""
    tables = read_tables(path, Reading.of(data), rows=WINDOW, faults=broken)
    waiting: list[pd.DataFrame] = []
    for table in tables:
        waiting.append(table)
        while sum(map(len, waiting)) >= WINDOW:
            whole = _joined(waiting)
            yield whole.iloc[:WINDOW]
            waiting = [whole.iloc[WINDOW:]] if len(whole) > WINDOW else []
    if waiting:
        yield _joined(waiting)


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if len(tables) == 1:
        return tables[0]
    whole = pd.concat(tables)
    whole.attrs = tables[0].attrs
    return whole
