"""Any table that `csv`, pandas or LibreOffice write comes back cell by cell."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.reading import Reading
from sweep.data.tables import read_table, read_tables
from written_tables import Written, written

#: SWEEP_FUZZ=10000 tries more of them.
EXAMPLES = int(os.environ.get("SWEEP_FUZZ", "300"))


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "a.csv"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck])
@given(table=written())
def test_every_table_comes_back_cell_by_cell_or_is_refused_with_words(
    path: Path, table: Written
) -> None:
    path.write_bytes(table.content)
    named = {"encoding": table.encoding} if table.encoding in ("cp949", "euc-kr") else {}
    reading = Reading.of(Data(**named))
    try:
        found = read_table(path, reading)
    except DataError:
        return
    assert [*found.columns] == table.names
    assert found.values.tolist() == table.cells
    # Read in parts, it is the same.
    parts = list(read_tables(path, reading, rows=2))
    assert [row for part in parts for row in part.values.tolist()] == table.cells
    assert [number for part in parts for number in part.index] == [*found.index]
