"""A file of pairs of any size, looked through once before its windows are scored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweep.core.arrays import Floats
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.columns import column_of, column_or_none, has_column
from sweep.data.pairs import labels_of
from sweep.data.rows import NONE_LEFT_OUT, LeftOut, RowChoice, rows_that_count
from sweep.data.sources import ways_to_read
from sweep.data.tables import existing
from sweep.data.windows import Window, looked_at, parts_of, refuse_broken


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
        for window, _, _ in looked_at(self.path, self.data, self.choice, skip=skip):
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
        first = next(parts_of(path, data, {}), pd.DataFrame())
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
    choice = RowChoice.of(data, "test", lambda: parts_of(path, data, {}))
    look = _Look(wants_labels=needs_labels or not _is_other_label(data, given))
    for window, part, left in looked_at(path, data, choice):
        look.add(window, part, left, data)
    if look.rows == 0:
        _refuse_nothing(path, data, look.left_out)
    if look.faulty == look.rows:
        refuse_broken(path, data)
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
    first = next(parts_of(path, data, {}), pd.DataFrame())
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
                column_of(next(parts_of(path, data, {})), data.label, str(path))
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
