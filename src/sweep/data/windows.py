"""A file of pairs of any size: looked through once, then handed out in windows of rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweep.core.arrays import Floats
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
from sweep.data.pairs import Pairs, labels_of
from sweep.data.reading import Reading
from sweep.data.rows import NONE_LEFT_OUT, LeftOut, RowChoice, rows_that_count
from sweep.data.sources import ways_to_read
from sweep.data.tables import existing, read_tables

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


@dataclass(frozen=True, eq=False)
class Survey:
    """What a file holds, once it was looked through.

    `rows` count, `faulty` of them are no pairs. `labels` `[rows]` are those of the pairs, NaN in
    other rows; None where there are none of use.
    """

    path: Path
    data: Data
    choice: RowChoice
    rows: int
    faulty: int
    labels: Floats | None

    def windows(self, *, skip: int = 0) -> Iterator[Window]:
        """The rows in their order, from the window of this number on.

        Raises:
            DataError: the file can't be read any more.
        """
        for window, _, _ in _looked_at(self.path, self.data, self.choice, skip=skip):
            yield window


def surveyed(
    path: Path,
    data: Data,
    given: Collection[str],
    *,
    tell: Callable[[str], None],
    needs_labels: bool = False,
) -> Survey:
    """Look through pairs to predict: the columns of the training, labels only where all of them are
    of use. Rows that are no pairs are counted.

    Args:
        data: Of the training, with what was asked for beside it. What the training files had
            otherwise is found out by looking, its separator is tried first; UTF-8, its encoding,
            then cp949.
        given: Keys of `data` that were asked for; they hold as they are.
        tell: Hears why the labels that are there are left out, what rows are, and of a guessed
            encoding.
        needs_labels: Refuse what is wrong with them instead.

    Raises:
        DataError: the file can't be read, lacks a text column, or none of its rows is a pair.
    """
    path = existing(path)
    *others, last = ways_to_read(path, data, given, tell)
    for way in others:
        if _finds_texts(path, way):
            try:
                return _survey(path, way, given, tell, needs_labels)
            except DataError:
                break
    return _survey(path, last, given, tell, needs_labels)


def _finds_texts(path: Path, data: Data) -> bool:
    try:
        first = next(_parts(path, data, {}), pd.DataFrame())
    except DataError:
        return False
    return all(has_column(first, text) for text in (data.text_a, data.text_b) if text is not None)


def _survey(
    path: Path,
    data: Data,
    given: Collection[str],
    tell: Callable[[str], None],
    needs_labels: bool,
) -> Survey:
    choice = RowChoice.of(data, "test", lambda: _parts(path, data, {}))
    look = _Look(wants_labels=needs_labels or not _is_other_label(data, given))
    for window, part, left in _looked_at(path, data, choice):
        look.add(window, part, left, data)
    if look.rows == 0:
        _refuse_nothing(path, data, look.left_out)
    if look.faulty == look.rows:
        _refuse_broken(path, data)
        assert look.first_fault is not None
        raise look.first_fault
    if look.left_out.in_words:
        tell(f"left out: {look.left_out.in_words}")
    labels = look.labels(path, data, needs_labels, tell)
    return Survey(path, data, choice, look.rows, look.faulty, labels)


def _is_other_label(data: Data, given: Collection[str]) -> bool:
    """The number of a column is that of the training files, not of a file with other names."""
    return isinstance(data.label, int) and bool({"text_a", "text_b"} & {*given})


def _refuse_nothing(path: Path, data: Data, left: LeftOut) -> None:
    first = next(_parts(path, data, {}), pd.DataFrame())
    rows_that_count(first, data, "test", str(path), scored=False)
    raise DataError(
        "A split must have rows.",
        value=f"of the rows in {path}, none is left: {left.in_words}",
        way_out="name a file that holds pairs",
    )


@dataclass
class _Look:
    """What a look through a file adds up to."""

    wants_labels: bool
    rows: int = 0
    faulty: int = 0
    left_out: LeftOut = NONE_LEFT_OUT
    first_fault: DataError | None = None
    _name: str | int | None = None
    _cells: list[Any] = field(default_factory=list)
    _numbers: list[int] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)
    _known: dict[Any, Any] = field(default_factory=dict)

    def add(self, window: Window, part: pd.DataFrame, left: LeftOut, data: Data) -> None:
        """The next window, and the rows of the table that it is of."""
        if self.wants_labels:
            self._add_labels(window, part, data)
        self.rows += len(window)
        self.faulty += len(window.faults)
        self.left_out = self.left_out.and_more(left)
        if self.first_fault is None and window.faults:
            self.first_fault = window.faults[min(window.faults)]

    def _add_labels(self, window: Window, part: pd.DataFrame, data: Data) -> None:
        column = column_or_none(part, data.label, "")
        if has_column(part, data.label):
            self._name = column.name
        for place in window.good:
            cell = column.cells[place]
            # Scores repeat: of a million cells, few texts are kept.
            is_plain = isinstance(cell, str | int | float)
            self._cells.append(self._known.setdefault(cell, cell) if is_plain else cell)
            self._numbers.append(column.rows[place])
            self._places.append(self.rows + place)

    def labels(
        self, path: Path, data: Data, needed: bool, tell: Callable[[str], None]
    ) -> Floats | None:
        """`[rows]`, NaN where a row is no pair; None where they are of no use, which is told.

        Raises:
            DataError: they are needed.
        """
        if self._name is None:
            if needed:
                # Says which columns there are.
                column_of(next(_parts(path, data, {})), data.label, str(path))
            return None
        table = pd.DataFrame({self._name: self._cells}, index=self._numbers, dtype=object)
        try:
            found = labels_of(table, replace(data, label=self._name), str(path))
        except DataError as error:
            if needed:
                raise
            tell(f"labels left out: {error.value}")
            return None
        labels = np.full(self.rows, np.nan)
        labels[self._places] = found
        return labels


def _looked_at(
    path: Path, data: Data, choice: RowChoice, *, skip: int = 0
) -> Iterator[tuple[Window, pd.DataFrame, LeftOut]]:
    """Windows from this number on, the rows that they are of, and what was left out of each."""
    broken: dict[int, str] = {}
    for number, part in enumerate(_parts(path, data, broken)):
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
                _refuse_broken(path, data)
            column_of(part, text, str(path))


def _refuse_broken(path: Path, data: Data) -> None:
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


def _parts(path: Path, data: Data, broken: dict[int, str]) -> Iterator[pd.DataFrame]:
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
