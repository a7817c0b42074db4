"""Files that can not be used: what is wrong, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pair_tables import ROWS, load, write
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.pairs import load_split


@pytest.mark.parametrize("row", ["well, a,b,2.5", "a,b,2.5,x"])
@pytest.mark.parametrize("before", [0, 1])
def test_row_with_more_cells_than_names_is_refused(tmp_path: Path, row: str, before: int) -> None:
    path = tmp_path / "a.csv"
    rows = ["sentence1,sentence2,score", *["c,d,3.5"] * before, row, row]
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError, match=f"data row {before + 1} has more cells"):
        load(path)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([1.0, "good", 2.0], ["score", "'good'", "data row 2"]),
        ([1.0, None, 2.0], ["score", "data row 2"]),
        ([3.0, 3.0, 3.0], ["3 everywhere", "data row 1"]),
        ([-1, -1, -1], ["-1 everywhere", "hidden test split"]),
        ([1.0, 2.0, 7.5], ["[0, 5]", "7.5", "data row 3", "data.label_range"]),
    ],
)
def test_bad_labels_are_refused_with_file_column_and_row(
    tmp_path: Path, scores: list[Any], said: list[str]
) -> None:
    rows = [{**ROWS[0], "score": s} for s in scores]
    path = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError) as caught:
        load(path)
    for part in [*said, str(path)]:
        assert part in str(caught.value)


def test_struct_as_label_names_the_fields(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "labels": {"label": 1.0, "real-label": 1.1}}] * 2
    with pytest.raises(DataError, match=r"data\.label=labels\.real-label"):
        load(write(tmp_path / "a.json", rows), label="labels")


def test_missing_column_lists_those_that_exist(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [{"문장1": "a", "labels": {"label": 1}}] * 2)
    with pytest.raises(DataError, match=r"문장1, labels\.label"):
        load(path)


def test_missing_text_names_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sentence1,sentence2,score\na,b,1\nc,,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="data row 2"):
        load(path)


def test_dev_of_one_row_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ROWS[:1])
    with pytest.raises(DataError, match="at least 2 rows"):
        load_split(Data(source="files", dev=str(path)), "dev")


def test_missing_file_lists_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", ROWS)
    with pytest.raises(DataError, match=r"in that folder: train\.csv"):
        load(tmp_path / "trian.csv")


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.parquet", "a.csv"])
def test_broken_file_is_one_clear_message(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"{not what it says" if name != "a.csv" else b"")
    with pytest.raises(DataError, match="can't be read"):
        load(path)


@pytest.mark.parametrize(
    "content", [b"sentence1,sentence2,score\n", b"\xef\xbb\xbf", b"\n\n", b" ", b"[]", b"\xff\xfe"]
)
def test_file_without_rows_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="must have rows"):
        load(path)


def test_folder_in_place_of_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)
    write(tmp_path / "part-0.parquet", ROWS)
    with pytest.raises(DataError, match=r"part-0\.parquet"):
        load(tmp_path)


def test_hub_without_network_says_what_was_sought_and_both_ways_out() -> None:
    data = Data(source="hub", path="klue", name="sts", train="train", label="labels.label")
    with pytest.raises(DataError) as caught:
        load_split(data, "train")
    message = str(caught.value)
    for part in ("klue (sts)", "split `train`", "data=files", "+experiment=lora_grid"):
        assert part in message
