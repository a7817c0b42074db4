"""Tables of answers as one file, written a window at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from sweep.core.files import replacing_file

Write = Callable[[pd.DataFrame], None]


@contextmanager
def answer_file(path: Path) -> Iterator[Write]:
    """Takes tables one after the other; the file is there, whole, once all of them are written.

    Its name says what it is: TSV, JSONL or Parquet, and CSV otherwise.
    """
    with replacing_file(path) as new:
        if path.suffix.lower() == ".parquet":
            with _parquet(new) as write:
                yield write
            return
        with new.open("w", encoding="utf-8", newline="") as file:
            yield text_writer(file, path.suffix.lower())


def text_writer(file: IO[str], suffix: str = ".csv") -> Write:
    """Writes tables to a text file that is open; a header comes once."""
    has_header = False

    def write_cells(table: pd.DataFrame) -> None:
        nonlocal has_header
        separator = "\t" if suffix == ".tsv" else ","
        table.to_csv(file, index=False, header=not has_header, sep=separator, lineterminator="\n")
        has_header = True

    def write_objects(table: pd.DataFrame) -> None:
        if len(table):
            table.to_json(file, orient="records", lines=True, force_ascii=False)

    return write_objects if suffix in (".jsonl", ".ndjson") else write_cells


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    writer: parquet.ParquetWriter | None = None

    def write(table: pd.DataFrame) -> None:
        nonlocal writer
        rows = pa.Table.from_pandas(table, schema=_schema(table), preserve_index=False)
        writer = writer or parquet.ParquetWriter(path, rows.schema)
        writer.write_table(rows)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


def _schema(table: pd.DataFrame) -> pa.Schema:
    """Told by the names: a window may hold nothing in a column."""
    kinds = {name: pa.float64() if table[name].dtype.kind == "f" else pa.string() for name in table}
    return pa.schema(kinds)
