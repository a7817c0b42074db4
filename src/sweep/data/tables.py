"""Reading a file of sentence pairs as it is: CSV, TSV, JSON, JSONL, Parquet."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweep.core.errors import DataError
from sweep.core.files import as_on_disk

UTF8 = "utf-8-sig"
_PARQUET = (".parquet", ".pq")
#: Characters of a text file that are looked at to find out its form.
_SNIFFED = 20_000
#: Stands for a separator that is not one ASCII character: ASCII's own, which no text holds.
_UNIT = "\x1f"


def read_table(
    path: Path,
    *,
    separator: str | None = None,
    header: bool | None = None,
    quoting: bool | None = None,
    encoding: str = UTF8,
) -> pd.DataFrame:
    """The file's rows. JSON structs stay as dicts; a file without header has columns 0, 1, ...

    Cells of a text file are texts, numerals too (`007`), or NaN where empty.

    Args:
        separator: Between the columns of a text file; None takes the tab, comma or semicolon of its
            lines, of the first one above all.
        header: Whether the first line names the columns; None takes it for a header unless a
            column is asked for by number (`data.text_a=0`).
        quoting: Whether `"` quotes; None says no for tab-separated files, where a lone `"` is
            text, and yes otherwise.

    Raises:
        DataError: the file does not exist or can't be read; says why.
    """
    path = _existing(path)
    kind = path.suffix.lower()
    with _trouble_told(path, encoding):
        if kind in _PARQUET:
            return pd.read_parquet(path)
        if kind in (".json", ".jsonl", ".ndjson"):
            return _read_json(path, encoding)
        return _read_text(path, separator, header is not False, quoting, encoding)


@contextlib.contextmanager
def _trouble_told(path: Path, encoding: str) -> Iterator[None]:
    """Why a file can't be read, in words."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} must be text in the encoding {encoding}.",
            value=f"byte {error.start} can't be decoded",
            way_out="save it as UTF-8, or set `data.encoding=cp949` (or what it is)",
        ) from None
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise DataError(
            f"{path} can't be read as {path.suffix.lower() or 'text'}.",
            value=str(error).splitlines()[0],
            way_out="set `data.separator`, `data.quoting`, `data.header` to what the file is; "
            "for `predict`, save it in the form of the training files",
        ) from None


def encoding_of(path: Path, tried: Sequence[str]) -> str:
    """The first of the encodings in which the whole file is text.

    What is text in UTF-8 is UTF-8, so that belongs to the front: hardly anything else is, while
    UTF-8 may look like text in other encodings.

    Raises:
        DataError: the file does not exist, or is text in none of them.
    """
    path = _existing(path)
    if path.suffix.lower() in _PARQUET:
        return tried[0]
    content = path.read_bytes()
    for encoding in tried:
        with contextlib.suppress(UnicodeDecodeError):
            content.decode(encoding)
            return encoding
    raise DataError(
        f"{path} must be text in one of the encodings {', '.join(tried)}.",
        value="bytes that none of them can decode",
        way_out="save it as UTF-8",
    )


def _existing(path: Path) -> Path:
    """The file, also where the disk spells 한글 in another Unicode form."""
    path = as_on_disk(path)
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError("A data file must be a file.", value=f"{path} is a folder")
    folder = path.parent
    there = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else []
    raise DataError(
        "A data file must exist.",
        value=path,
        way_out=f"in that folder: {', '.join(there)}" if there else f"no folder {folder}",
    )


def _read_json(path: Path, encoding: str) -> pd.DataFrame:
    text = path.read_text(encoding=encoding)
    if text.lstrip().startswith("["):
        rows = json.loads(text)
    else:
        # Not `splitlines`: U+2028 and the like may stand inside of a string.
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it must hold a list of objects, or one object a line")
    # Built by hand: `pd.read_json` would turn structs and numbers in text into something else.
    return pd.DataFrame(rows)


def _read_text(
    path: Path, separator: str | None, header: bool, quoting: bool | None, encoding: str
) -> pd.DataFrame:
    with path.open(encoding=encoding, newline="") as file:
        text = file.read()
    separator = separator or _sniff_separator(text[:_SNIFFED].replace("\r\n", "\n"))
    # As it is typed in a shell.
    separator = cut = separator.replace(r"\t", "\t")
    if len(separator.encode()) > 1:
        # pandas would take it for an expression, and leave quotes alone.
        text, cut = text.replace(separator, _UNIT), _UNIT
    quotes = quoting if quoting is not None else separator != "\t"
    options: dict[str, Any] = {
        "sep": cut,
        "quoting": csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        # A sentence may be "NA" or "null": only an empty cell is missing.
        "keep_default_na": False,
        "na_values": [""],
        # A sentence may be "2020" or "007".
        "dtype": str,
    }
    table = _read_below_header(text, options) if header else _read_ragged(text, options)
    if cut == separator:
        return table
    return table.map(lambda cell: cell.replace(cut, separator) if isinstance(cell, str) else cell)


def _read_ragged(text: str, options: dict[str, Any]) -> pd.DataFrame:
    """Rows without names, which may have more columns than the first one (STS-B: 7 to 9)."""
    width = max(line.count(options["sep"]) + 1 for line in text.split("\n"))
    return pd.DataFrame(
        pd.read_csv(io.StringIO(text), header=None, names=list(range(width)), **options)
    )


def _read_below_header(text: str, options: dict[str, Any]) -> pd.DataFrame:
    """Rows under the names of the first line; an empty cell may follow the last one.

    Of rows with more cells than names pandas would make the first cells an index, and every column
    would hold its neighbour's; told not to, it would cut the last ones off with a warning.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.DataFrame(pd.read_csv(io.StringIO(text), index_col=False, **options))
        except pd.errors.ParserWarning:
            pass
    width = len(pd.read_csv(io.StringIO(text), index_col=False, nrows=0, **options).columns)
    places = range(width + 1)
    wide = pd.read_csv(
        io.StringIO(text), index_col=False, header=0, names=places, usecols=places, **options
    )
    row = int(np.argmax(wide[width].notna())) + 1
    raise ValueError(f"data row {row} has more cells than the header, which names {width}")


def _sniff_separator(sample: str) -> str:
    """A tab if the lines hold tabs (also in files named .csv), else the `,` or `;` of the first.

    Where that line has both, as a pair without header above it may, it is the one that cuts more
    lines into as many cells as the first; then the one with fewer spaces behind it, as in prose.
    """
    lines = sample.split("\n")[:50]
    if sum("\t" in line for line in lines) > len(lines) / 2:
        return "\t"
    there = [separator for separator in ",;" if separator in lines[0]] or [*",;"]

    def consistency(separator: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        alike = sum(width == widths[0] > 1 for width in widths)
        return alike, sample.count(separator) - sample.count(f"{separator} ")

    return max(there, key=consistency)
