"""Rows of a JSON file: one object a line, or the shapes that `to_json` and `json.dump` give."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

import pandas as pd

from sweep.core.words import excerpt
from sweep.data.encoding import text_of
from sweep.data.reading import Faults, Reading, tidy

_SHAPES = "a list of objects, one object a line, or what `to_json` writes, alone or under one key"
_OBJECT = re.compile(r'(\[\s*)?\{\s*"')
_BLANKS = re.compile(r"\s*")


def is_json(sample: str, *, whole: bool, named_so: bool) -> bool:
    """Whether a text that begins so is JSON and no table.

    Args:
        whole: Whether that is all of it.
        named_so: Whether the file's name says it.
    """
    text = sample.lstrip("\ufeff \t\r\n")
    if not text.startswith(("{", "[")):
        return False
    # A text may begin with a bracket, too.
    first = text.splitlines()[0]
    return named_so or bool(_OBJECT.match(text)) or _parses(first) or (whole and _parses(text))


def _parses(text: str) -> bool:
    try:
        _document(text)
    except (ValueError, RecursionError):
        return False
    return True


def json_tables(
    file: BinaryIO, reading: Reading, sample: str, *, rows: int, faults: Faults = None
) -> Iterator[pd.DataFrame]:
    """The rows, so many at a time, under their number in the file, from 1; structs stay as dicts.

    Args:
        faults: Told which lines are no objects; they come as rows without cells.

    Raises:
        ValueError: it is no JSON, or has another shape; says where.
    """
    text = text_of(file, reading.encoding)
    try:
        found = iter(
            _objects(text, faults) if _is_lines(sample) else _rows(_document(text.read()), reading)
        )
        number = 1
        while part := list(islice(found, rows)):
            yield pd.DataFrame(part, index=range(number, number + len(part)), dtype=object)
            number += len(part)
        if number == 1:
            yield pd.DataFrame()
    finally:
        text.detach()


def _is_lines(sample: str) -> bool:
    """Whether the first of several lines is an object by itself."""
    # Not `splitlines`: U+2028 and the like may stand inside of a string.
    lines = (line.strip("\ufeff \t") for line in sample.replace("\r", "\n").split("\n"))
    first = list(islice(filter(None, lines), 2))
    return len(first) == 2 and first[0].startswith("{") and _parses(first[0])


def _objects(lines: Iterator[str], faults: Faults) -> Iterator[Any]:
    """What each line holds: a line feed or carriage return ends it."""
    count = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip("\ufeff \t\r\n"):
            continue
        count += 1
        try:
            row = _object(line, number)
        except ValueError as error:
            if faults is None:
                raise
            faults[count], row = str(error), {}
        yield row


def _object(line: str, number: int) -> dict[Any, Any]:
    try:
        row = json.loads(line.lstrip("\ufeff"))
    except ValueError as error:
        raise ValueError(f"line {number} is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number} must hold an object, but holds {excerpt(row)}")
    return _tidy_row(row)


def _document(text: str) -> Any:
    """All of the file: one value, or several objects one after the other."""
    decoder, found = json.JSONDecoder(), []
    text = text.strip("\ufeff \t\r\n")
    place = 0
    while place < len(text):
        value, end = decoder.raw_decode(text, place)
        found.append(value)
        blanks = _BLANKS.match(text, end)
        place = blanks.end() if blanks else end
    return found[0] if len(found) == 1 else found


def _rows(document: Any, reading: Reading) -> list[dict[Any, Any]]:
    sought = {str(name) for one in reading.names for name in one}
    sought |= {name.partition(".")[0] for name in sought}
    return [_tidy_row(row) for row in rows_of(document, sought)]


def _tidy_row(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """A row with the names of its columns as they are sought."""
    return {tidy(name) if isinstance(name, str) else name: value for name, value in row.items()}


def rows_of(document: Any, sought: Collection[str]) -> list[dict[Any, Any]]:
    """The rows of a document, whichever of the usual shapes it has.

    Args:
        sought: Names of columns, which tell columns from the names of rows.

    Raises:
        ValueError: it has another shape.
    """
    if isinstance(document, list):
        return _of_list(document, sought)
    if not isinstance(document, dict):
        raise ValueError(f"it must hold {_SHAPES}, but holds {excerpt(document)}")
    if isinstance(document.get("columns"), list) and isinstance(document.get("data"), list):
        return _of_list([document["columns"], *document["data"]], {*map(str, document["columns"])})
    # `orient="table"`.
    if isinstance(document.get("schema"), dict) and isinstance(document.get("data"), list):
        return _of_list(document["data"], sought)
    return _of_object(document, sought)


def _of_list(values: Sequence[Any], sought: Collection[str]) -> list[dict[Any, Any]]:
    """Objects; or lists of cells, under a header or under numbers."""
    if values and all(isinstance(value, list) for value in values):
        header = values[0] if any(str(cell).strip() in sought for cell in values[0]) else None
        body = values[1:] if header else values
        return [dict(zip(header or range(len(row)), row, strict=False)) for row in body]
    odd = next((i for i, value in enumerate(values) if not isinstance(value, dict)), None)
    if odd is not None:
        raise ValueError(f"it must hold {_SHAPES}; item {odd + 1} is {excerpt(values[odd])}")
    return list(values)


def _of_object(document: Mapping[str, Any], sought: Collection[str]) -> list[dict[Any, Any]]:
    """One row, columns of cells, rows by name, or rows below one of its keys."""
    if any(key in sought and not _is_inner(value) for key, value in document.items()):
        return [dict(document)]
    if (columns := _columns(document, sought)) is not None:
        return _of_columns(columns)
    if _are_rows(document):
        return list(document.values())
    below = {key: value for key, value in document.items() if _may_hold_rows(value)}
    if len(below) == 1:
        return rows_of(next(iter(below.values())), sought)
    if below:
        some = ", ".join(excerpt(key, 40) for key in list(below)[:6])
        raise ValueError(f"it must hold {_SHAPES}; there may be rows below each of {some}")
    return [dict(document)]


def _is_inner(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _columns(
    document: Mapping[str, Any], sought: Collection[str]
) -> Mapping[str, Mapping[Any, Any]] | None:
    """Its cells by column and row, if that is what it holds."""
    values, named = list(document.values()), any(key in sought for key in document)
    if values and all(isinstance(value, list) for value in values):
        cells = not any(_is_inner(cell) for value in values for cell in value)
        alike = len(values) > 1 and len(set(map(len, values))) == 1
        if named or (cells and alike):
            return {key: dict(enumerate(value)) for key, value in document.items()}
    if values and all(isinstance(value, dict) for value in values):
        names = {str(name) for value in values for name in value}
        if named or (not any(name in sought for name in names) and all(map(str.isdigit, names))):
            return document
    return None


def _are_rows(document: Mapping[str, Any]) -> bool:
    """Whether rows stand under names. They hold cells; below another key, there may be columns."""
    values = list(document.values())
    return all(isinstance(value, dict) for value in values) and any(
        not _is_inner(cell) for row in values for cell in row.values()
    )


def _of_columns(columns: Mapping[str, Mapping[Any, Any]]) -> list[dict[Any, Any]]:
    """Rows of columns whose cells stand under the names of rows."""
    rows: dict[Any, dict[Any, Any]] = {}
    for name, cells in columns.items():
        for row, cell in cells.items():
            rows.setdefault(row, {})[name] = cell
    return list(rows.values())


def _may_hold_rows(value: Any) -> bool:
    """Whether it is a list of rows or cells by name, or has such below it."""
    if not _is_inner(value):
        return False
    inner = value if isinstance(value, list) else list(value.values())
    cells = bool(inner) and all(map(_is_inner, inner))
    return cells or (isinstance(value, dict) and any(map(_may_hold_rows, inner)))
