"""Rows of a text file: CSV and its kin."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

import pandas as pd

from sweep.core.words import excerpt
from sweep.data.encoding import text_of
from sweep.data.form import found_out
from sweep.data.reading import Faults, Form, Reading, cells_of, numbered, tidy


def text_tables(
    file: BinaryIO,
    reading: Reading,
    sample: str,
    *,
    whole: bool,
    rows: int,
    faults: Faults = None,
) -> Iterator[pd.DataFrame]:
    """The rows, so many at a time, under the number that they have in the file, from 1.

    Cells are texts, numerals too (`007`), or None where empty. A file without header has columns
    0, 1, ...

    Args:
        sample: The beginning of the text.
        whole: Whether that is all of it.
        faults: Told which rows do not fit; they come without cells.

    Raises:
        ValueError: a row does not fit, and nobody is told; says which.
    """
    form = found_out(sample, reading, whole=whole)
    text = text_of(file, reading.encoding, newline=form.line_end)
    try:
        lines = islice(text, form.top, None)
        cells = (row for row in _told(cells_of(lines, form)) if any(map(str.strip, row)) or row[1:])
        names = numbered([tidy(cell) for cell in next(cells, [])]) if reading.has_header else None
        number = 1
        while True:
            part = [
                _fitted(row, names, number + i, faults) for i, row in enumerate(islice(cells, rows))
            ]
            if part or number == 1:
                yield _table(part, names, number, form)
            if len(part) < rows:
                return
            number += len(part)
    finally:
        text.detach()


def _told(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows; where quotes are broken, the row in which they are."""
    count = 0
    try:
        for row in rows:
            yield row
            count += 1
    except csv.Error as error:
        where = f"row {count + 1}, the header included,"
        raise ValueError(
            f"{where} has a quote that does not stand around a cell ({error})"
        ) from None


def _fitted(
    row: list[str], names: Sequence[str] | None, number: int, faults: Faults
) -> list[str | None]:
    """The row as long as the header; an empty cell may follow the last one.

    Cells that slip into the next column would be texts and scores of others.
    """
    cells: list[str | None] = [cell or None for cell in row]
    if names is None:
        return cells
    if len(row) > len(names) and row[len(names) :] != [""]:
        fault = (
            f"data row {number} has more cells than the header, which names {len(names)}, "
            f"from {excerpt(names[0])} on"
        )
        if faults is None:
            raise ValueError(fault)
        faults[number] = fault
        cells = []
    return (cells + [None] * (len(names) - len(cells)))[: len(names)]


def _table(
    rows: Sequence[list[str | None]], names: Sequence[str] | None, first: int, form: Form
) -> pd.DataFrame:
    width = max(map(len, rows), default=0)
    columns: list[Any] = list(names if names is not None else range(width))
    table = pd.DataFrame(
        rows,
        columns=columns,
        index=range(first, first + len(rows)),
        dtype=object,
    )
    table.attrs["lines_above"] = form.above
    return table
