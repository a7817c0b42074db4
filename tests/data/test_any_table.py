"""Any table that `csv`, pandas or LibreOffice write comes back cell by cell; anything else is
either read or refused with words."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pair_tables import load
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.reading import Reading
from sweep.data.tables import read_table, read_tables
from written_tables import NAMES, SIGNS, Written, written

#: SWEEP_FUZZ=10000 tries more of them.
EXAMPLES = int(os.environ.get("SWEEP_FUZZ", "200"))
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[*HealthCheck],
    # The same few in each run of the suite; other ones where many are asked for.
    derandomize=EXAMPLES <= 200,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.long
@MANY
@given(table=written())
def test_every_table_comes_back_cell_by_cell(folder: Path, table: Written) -> None:
    path = folder / "a.csv"
    path.write_bytes(table.content)
    named = {"encoding": table.encoding} if table.encoding in ("cp949", "euc-kr") else {}
    reading = Reading.of(Data(**named))
    try:
        found = read_table(path, reading)
    except DataError:
        # Lone quotes of several cells can look like one that was quoted: refused with words.
        if table.is_unquoted:
            return
        raise
    assert [*found.columns] == table.names
    assert found.values.tolist() == table.cells
    # Read in parts, it is the same.
    parts = list(read_tables(path, reading, rows=2))
    assert [row for part in parts for row in part.values.tolist()] == table.cells
    assert [number for part in parts for number in part.index] == [*found.index]


CELLS = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers()
DOCUMENTS = st.recursive(
    CELLS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NAMES, "data", "0", "columns", "schema"]), inner)
    ),
    max_leaves=12,
)
ANYTHING = (
    st.binary(max_size=60)
    | st.tuples(
        st.sampled_from(
            [
                b"\x1f\x8b",
                b"PK\x03\x04",
                b"PAR1",
                b"ARROW1",
                b"\xff\xfe",
                b"\x80\x04",
                b"BZh9",
                b"[",
            ]
        ),
        st.binary(max_size=60),
    ).map(b"".join)
    | st.text(SIGNS, max_size=60).map(str.encode)
    | st.text(SIGNS, max_size=60).map(lambda text: f"{','.join(NAMES)}\n{text}".encode())
    | st.lists(DOCUMENTS, max_size=3).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
    | DOCUMENTS.map(lambda document: json.dumps(document).encode())
)


@pytest.mark.long
@MANY
@given(content=ANYTHING, name=st.sampled_from(["b.csv", "b.json", "b.parquet", "b.gz"]))
def test_whatever_a_file_holds_it_is_read_or_refused_with_words(
    folder: Path, content: bytes, name: str
) -> None:
    (folder / name).write_bytes(content)
    for more in ({}, {"text_a": 0, "text_b": 1, "label": 2}, {"where": {"genre": "x"}}):
        with contextlib.suppress(DataError):
            assert load(folder / name, **more).digest()
