"""JSON in the shapes in which pandas, `json.dump` and people write it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pair_tables import ROWS, load
from sweep.core.errors import DataError

TABLE = pd.DataFrame(ROWS)
ORIENTS = ["records", "columns", "index", "split", "table"]

SHAPES: dict[str, Callable[[], Any]] = {
    "lists of cells": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "records": lambda: ROWS,
    "wrapped": lambda: {"version": "1.0", "data": ROWS},
    "wrapped twice": lambda: {"version": 1, "result": {"count": 3, "items": ROWS}},
    "wrapped columns": lambda: {"data": {name: [row[name] for row in ROWS] for name in ROWS[0]}},
    "rows by name": lambda: {f"pair-{i}": row for i, row in enumerate(ROWS)},
    "rows of cells": lambda: [[*ROWS[0]], *([*row.values()] for row in ROWS)],
    "wrapped rows of cells": lambda: {"rows": [[*ROWS[0]], *([*row.values()] for row in ROWS)]},
    "blanks": lambda: [{f" {name} ": value for name, value in row.items()} for row in ROWS],
}


def assert_is_table(path: Path, **named: Any) -> None:
    pairs = load(path, **named)
    assert pairs.text_a == tuple(TABLE["sentence1"])
    assert pairs.text_b == tuple(TABLE["sentence2"])
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [2.5, 4.0, 0.0]


@pytest.mark.parametrize("orient", ORIENTS)
@pytest.mark.parametrize("force_ascii", [True, False])
@pytest.mark.parametrize("indent", [0, 2])
def test_what_pandas_writes_is_read(
    tmp_path: Path, orient: Any, force_ascii: bool, indent: int
) -> None:
    path = tmp_path / "a.json"
    TABLE.to_json(path, orient=orient, force_ascii=force_ascii, indent=indent)
    assert_is_table(path)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_what_people_write_is_read(
    tmp_path: Path, shape: str, indent: int | None, encoding: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(json.dumps(SHAPES[shape](), indent=indent).encode(encoding))
    assert_is_table(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\n \n"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt"])
def test_objects_follow_one_another(
    tmp_path: Path, end: str, indent: int | None, name: str
) -> None:
    path = tmp_path / name
    rows = [json.dumps(row, ensure_ascii=False, indent=indent) for row in ROWS]
    path.write_bytes((end.join(rows) + end).encode())
    assert_is_table(path)


@pytest.mark.parametrize("orient", ["columns", "index", "records"])
def test_structs_are_reached_in_every_shape(tmp_path: Path, orient: Any) -> None:
    path = tmp_path / "a.json"
    nested = [
        {"sentence1": r["sentence1"], "sentence2": r["sentence2"], "labels": {"label": r["score"]}}
        for r in ROWS
    ]
    pd.DataFrame(nested).to_json(path, orient=orient)
    assert_is_table(path, label="labels.label")


def test_cells_without_names_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([[*row.values()] for row in ROWS]), "utf-8")
    assert_is_table(path, text_a=0, text_b=1, label=2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"train": [{"a": 1}], "dev": [{"a": 1}]}', "'train', 'dev'"),
        ('[{"sentence1": "a"}, "b"]', "item 2"),
        ("[1, 2]", "item 1"),
        ('{"sentence1": "a"}\n{"sentence1": }\n', "line 2 is no JSON"),
        ('{"sentence1": "a"}\n{"sentence1": "b"}\n[1]\n', "line 3 must hold an object"),
        ('[{"sentence1": "a",]', "can't be read"),
        ("[" * 100_000, "can't be read"),
        ("[]", "must have rows"),
        ("{}", "must exist"),
        ('{"data": []}', "must exist"),
        ('{"foo": {"0": "a", "1": "b"}, "bar": {"0": "c", "1": "d"}}', "columns: foo, bar"),
    ],
)
def test_other_shapes_are_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_half_of_an_emoji_is_refused_by_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    whole = r'{"sentence1": "a \ud83d\ude00", "sentence2": "b", "score": 1}'
    half = r'{"sentence1": "a \ud83d", "sentence2": "b", "score": 2}'
    path.write_text(f"{whole}\n{half}\n", "utf-8")
    with pytest.raises(DataError, match="must be whole") as caught:
        load(path)
    assert "data row 2" in str(caught.value)
    str(caught.value).encode()
    path.write_text(f"{whole}\n{whole.replace('1}', '2}')}\n", "utf-8")
    assert load(path).text_a == ("a 😀",) * 2


@pytest.mark.parametrize("cell", ["NaN", "null", '""', '" "'])
def test_score_that_is_none_is_none(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.jsonl"
    rows = [f'{{"sentence1": "a", "sentence2": "b", "score": {score}}}' for score in (1, cell, 3)]
    path.write_text("\n".join(rows), "utf-8")
    with pytest.raises(DataError, match="1 row of 3"):
        load(path)
    pairs = load(path, unscored="drop")
    assert (len(pairs), pairs.left_out.unscored) == (2, 1)
