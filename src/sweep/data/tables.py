"""The door for files of sentence pairs: whatever they are, their rows come out as tables."""

from __future__ import annotations

import contextlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import feather, ipc, parquet

from sweep.core.errors import DataError
from sweep.core.files import as_on_disk
from sweep.data.encoding import settled, text_of, undecodable
from sweep.data.first_bytes import Opened, opened
from sweep.data.json_files import is_json, json_tables
from sweep.data.reading import Faults, Reading, numbered, tidy
from sweep.data.text_files import text_tables

#: Characters of a text file that are looked at to find out its form.
_LOOKED_AT = 4_000_000
#: Rows of a table that is read at once.
_ROWS = 50_000
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
_JSON = (".json", ".jsonl", ".ndjson")
#: What the libraries below raise for files that are damaged, encrypted, or nested without end.
_DAMAGED = (
    ValueError, OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile, pa.ArrowException,
)  # fmt: skip

_BRING_AGAIN = "it may be damaged: write it or download it again"
_MEND_JSON = "mend it there, or write the pairs as one object a line (JSONL)"
_SET_FORM = (
    "set `data.separator`, `data.quoting`, `data.header`, `data.skip_lines` to what the file is; "
    "for `predict`, `--separator`, `--quoting`, `--header`, `--skip-lines`"
)


def read_table(path: Path, reading: Reading) -> pd.DataFrame:
    """All rows of a file; see `read_tables`."""
    tables = list(read_tables(path, reading))
    whole = pd.concat(tables) if len(tables) > 1 else tables[0]
    whole.attrs = tables[0].attrs
    return whole


def read_tables(
    path: Path, reading: Reading, *, rows: int = _ROWS, faults: Faults = None
) -> Iterator[pd.DataFrame]:
    """The rows of a file, so many at a time, under their numbers in it, from 1.

    First bytes decide what it is: text, JSON, Parquet or Arrow, packed or not, under any name. JSON
    structs stay as dicts; a text file without header has columns 0, 1, ... Cells of a text file are
    texts, or None where empty. Names of columns come without blanks around them.

    Args:
        faults: Told, by number, which rows can't be cut into cells, and why; they come without
            any. Without it such a row is refused.

    Raises:
        DataError: the file does not exist or can't be read; says why.
    """
    path = existing(path)
    with _trouble_told(path, reading, _BRING_AGAIN), opened(path) as content:
        if content.form == "text":
            yield from _text_or_json(path, content, reading, rows, faults)
        else:
            yield from _columns(content, rows)


def _text_or_json(
    path: Path, content: Opened, reading: Reading, rows: int, faults: Faults
) -> Iterator[pd.DataFrame]:
    reading = replace(reading, encoding=settled(path, content.head, reading.encoding))
    text = text_of(content.file, reading.encoding)
    sample, more = text.read(_LOOKED_AT), text.read(1)
    text.detach()
    content.file.seek(0)
    suffixes = [suffix for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    named_so = bool(suffixes) and suffixes[-1].lower() in _JSON
    if is_json(sample, whole=not more, named_so=named_so):
        with _trouble_told(path, reading, _MEND_JSON):
            yield from json_tables(content.file, reading, sample, rows=rows, faults=faults)
    else:
        with _trouble_told(path, reading, _SET_FORM):
            yield from text_tables(
                content.file, reading, sample, whole=not more, rows=rows, faults=faults
            )


def _columns(content: Opened, rows: int) -> Iterator[pd.DataFrame]:
    """Rows of a file that keeps them in columns."""
    number = 1
    for batch in _batches(content, rows):
        table = batch.to_pandas()
        table.columns = pd.Index(numbered([tidy(str(name)) for name in table.columns]))
        table.index = pd.RangeIndex(number, number + len(table))
        number += len(table)
        yield table
    if number == 1:
        yield pd.DataFrame()


def _batches(content: Opened, rows: int) -> Iterator[pa.RecordBatch]:
    if content.form == "parquet":
        yield from parquet.ParquetFile(content.file).iter_batches(batch_size=rows)
    elif content.form == "arrow":
        yield from ipc.open_stream(content.file)
    else:
        # The first version of Feather, too, which knows no batches.
        yield from feather.read_table(content.file).to_batches(max_chunksize=rows)


@contextlib.contextmanager
def _trouble_told(path: Path, reading: Reading, way_out: str) -> Iterator[None]:
    """Why a file can't be read, in words."""
    try:
        yield
    except DataError:
        raise
    except UnicodeDecodeError:
        raise undecodable(path, reading.encoding) from None
    except _DAMAGED as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise DataError(f"{path} can't be read.", value=said[0][:200], way_out=way_out) from None


def existing(path: Path) -> Path:
    """The file, also where the disk spells 한글 in another Unicode form.

    Raises:
        DataError: it is not there, or is a folder; names its neighbours.
    """
    path = as_on_disk(path)
    if path.is_file():
        return path
    folder = path if path.is_dir() else path.parent
    there = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else []
    if path.is_dir():
        raise DataError(
            "A data file must be a file.",
            value=f"{path} is a folder",
            way_out=f"name a file, in that folder: {', '.join(there) or 'nothing'}",
        )
    raise DataError(
        "A data file must exist.",
        value=path,
        way_out=f"in that folder: {', '.join(there)}" if there else f"no folder {folder}",
    )
