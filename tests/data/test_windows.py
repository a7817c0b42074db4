"""A file in windows: order, rows that are no pairs, labels of all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data import windows
from sweep.data.survey import Survey, surveyed

NAMES = ["sentence1", "sentence2", "score"]


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW", 3)


def look(path: Path, data: Data | None = None, **given: Any) -> tuple[Survey, list[str]]:
    said: list[str] = []
    return surveyed(path, data or Data(), given, tell=said.append), said


def texts(survey: Survey, *, skip: int = 0) -> list[str]:
    return [text for window in survey.windows(skip=skip) for text in window.text_a]


def test_rows_that_are_no_pairs_are_marked_in_their_place(tmp_path: Path) -> None:
    lines = ["sentence1,sentence2,score", "가,b,1", ",b,2", "c,d,3,4,5", "", "e,f,4.5", "g, ,x"]
    path = tmp_path / "쌍.csv"
    path.write_text("\n".join(lines), "utf-8")
    survey, said = look(path)
    assert (survey.rows, survey.faulty, said) == (5, 3, [])
    found = {
        (window.number, place): f"{fault.rule} {fault.value}"
        for window in survey.windows()
        for place, fault in window.faults.items()
    }
    assert sorted(found) == [(0, 1), (0, 2), (1, 1)]
    assert "`sentence1`" in found[0, 1]
    assert "more cells than the header" in found[0, 2]
    assert "`sentence2`" in found[1, 1]
    # The label of a row that is no pair does not count.
    assert survey.labels is not None
    assert np.array_equal(survey.labels, [1, np.nan, np.nan, 4.5, np.nan], equal_nan=True)
    assert texts(survey) == ["가", "", "", "e", "g"]
    assert texts(survey, skip=1) == ["e", "g"]


def test_lines_that_are_no_objects_are_marked(tmp_path: Path) -> None:
    rows = [dict(zip(NAMES, (f"a{i}", "b", i), strict=True)) for i in range(5)]
    lines = [json.dumps(row) for row in rows]
    lines[1], lines[3] = lines[1][:-3], '["no", "object"]'
    lines[4] = '{"sentence1": "half \\ud83d", "sentence2": "b", "score": 4}'
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    survey, _ = look(path)
    faults = [str(fault.value) for w in survey.windows() for fault in w.faults.values()]
    assert len(faults) == survey.faulty == 3
    assert "line 2 is no JSON" in faults[0]
    assert "line 4 must hold an object" in faults[1]
    assert [len(window) for window in survey.windows()] == [3, 2]


def test_windows_do_not_follow_the_batches_of_a_file(tmp_path: Path) -> None:
    table = pa.table({"sentence1": list("abcdefgh"), "sentence2": list("ABCDEFGH")})
    path = tmp_path / "a.arrow"
    with pa.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
    survey, _ = look(path)
    assert [len(window) for window in survey.windows()] == [3, 3, 2]
    assert "".join(texts(survey)) == "abcdefgh"


def test_what_is_found_anywhere_holds_everywhere(tmp_path: Path) -> None:
    """Decimal signs, spellings of a condition, labels that are of no use: of all windows."""
    rows = [(f"a{i}", "b", "1,5" if i < 3 else "2,25", "KO" if i % 2 else "en") for i in range(7)]
    path = tmp_path / "a.tsv"
    frame = pd.DataFrame(rows, columns=[*NAMES, "lang"])
    frame.to_csv(path, sep="\t", index=False)
    survey, said = look(path, Data(where={"lang": "ko"}), where=True)
    assert texts(survey) == ["a1", "a3", "a5"]
    assert survey.labels is not None
    assert survey.labels.tolist() == [1.5, 2.25, 2.25]
    assert said == ["left out: 4 rows that `data.where` does not ask for"]
    frame.assign(score=["1"] * 6 + ["good"]).to_csv(path, sep="\t", index=False)
    survey, said = look(path)
    assert (survey.labels, survey.rows) == (None, 7)
    assert "'good' in data row 7" in said[0]


def test_file_without_any_pair_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sentence1,sentence2\n,b\n,d\n", "utf-8")
    with pytest.raises(DataError, match="sentence1"):
        look(path)
    path.write_text("sentence1,sentence2\na,b\n", "utf-8")
    with pytest.raises(DataError, match=r"data\.where"):
        look(path, Data(where={"sentence1": "x"}), where=True)
