"""Rows that are no pairs: without cells, without a score, of another split; two texts in a cell."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pair_tables import load
from sweep.core.errors import DataError
from sweep.core.recipe import Data, Recipe
from sweep.data.findings import Split
from sweep.data.guard import guard
from sweep.data.pairs import load_split

HEADER = "sentence1,sentence2,score\n"


# -- empty rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [",,", " , , ", '"","",""', "\t\t,,"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_rows_without_any_cell_are_left_out_and_counted(
    tmp_path: Path, empty: str, place: int
) -> None:
    path = tmp_path / "a.csv"
    rows = ["a,b,1", "c,d,2"]
    rows[place:place] = [empty, empty]
    path.write_text(HEADER + "\n".join(rows) + "\n\n\n", "utf-8")
    pairs = load(path)
    assert (pairs.text_a, pairs.left_out.empty) == (("a", "c"), 2)


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "json"])
def test_rows_without_any_cell_are_left_out_of_other_files(tmp_path: Path, kind: str) -> None:
    rows: list[dict[str, Any]] = [
        {"sentence1": "a", "sentence2": "b", "score": 1.0},
        {"sentence1": None, "sentence2": None, "score": None},
        {"sentence1": "c", "sentence2": "d", "score": 2.0},
    ]
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]", "utf-8")
    pairs = load(path)
    assert (pairs.text_a, pairs.left_out.empty) == (("a", "c"), 1)


def test_row_with_a_single_cell_is_no_empty_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER},,\na,b,1\n,,2\nc,d,3\n", "utf-8")
    with pytest.raises(DataError, match=r"holds nothing in data row 3"):
        load(path)


# -- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan", "NULL", "None", "n/a", "-"])
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_rows_without_a_score_are_counted_and_left_out_on_request(
    tmp_path: Path, cell: str, split: Split
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}a,b,1\nc,d,{cell}\ne,f,3\ng,h,{cell}\n", "utf-8")
    data = Data(source="files", **{split: str(path)})
    with pytest.raises(DataError, match=r"data\.unscored=drop") as caught:
        load_split(data, split)
    assert "2 rows of 4" in str(caught.value)
    assert "data row 2" in str(caught.value)
    pairs = load_split(replace(data, unscored="drop"), split)
    assert (pairs.text_a, pairs.left_out.unscored) == (("a", "e"), 2)
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [1.0, 3.0]


@pytest.mark.parametrize("row", ["a,b,", ",,"])
def test_file_of_which_nothing_is_left_says_why(tmp_path: Path, row: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}{row}\n{row}\n", "utf-8")
    why = "2 rows without a" if row == "a,b," else "2 rows without any cell"
    with pytest.raises(DataError, match=f"of 2 rows in .*none is left: {why}"):
        load(path, unscored="drop")


def test_words_in_place_of_a_score_are_no_missing_score(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}a,b,1\nc,d,good\n", "utf-8")
    with pytest.raises(DataError, match="'good' in data row 2"):
        load(path, unscored="drop")


def test_number_of_a_row_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER},,\na,b,\nc,d,1\ne,f,9\n", "utf-8")
    with pytest.raises(DataError, match="data row 4"):
        load(path, unscored="drop")


# -- data.where ----------------------------------------------------------------------------------


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    rows = [
        {"sentence1": f"{split} {i}", "sentence2": f"b{i}", "score": i % 5, "split": split,
         "lang": "ko" if i % 2 else "en", "year": 2010 + i % 3, "info": {"fold": i % 4}}
        for split, count in (("train", 12), ("validation", 6), ("test", 4))
        for i in range(count)
    ]  # fmt: skip
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


def of(path: Path, where: dict[str | int, Any]) -> Data:
    return Data(source="files", train=str(path), dev=str(path), test=str(path), where=where)


def sizes(data: Data) -> list[int]:
    return [len(load_split(data, split)) for split in ("train", "dev", "test")]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"split": "train"}, [12, 6, 4]),
        ({"split": "train", "lang": "ko"}, [6, 3, 2]),
        ({"train": {"split": "train"}, "dev": {"split": "validation"}}, [12, 6, 22]),
        ({"lang": "ko", "dev": {"split": "test"}}, [11, 2, 11]),
        ({"train": {"split": ["train", "validation"]}, "dev": {"split": "test"}}, [18, 4, 22]),
        ({"year": 2011}, [7, 7, 7]),
        ({"year": ["2011", 2012.0]}, [14, 14, 14]),
        ({"info.fold": [2, 3], "split": "train"}, [6, 2, 2]),
        ({}, [22, 22, 22]),
    ],
)
def test_one_file_serves_as_every_split(
    one_file: Path, where: dict[str | int, Any], expected: list[int]
) -> None:
    data = of(one_file, where)
    assert sizes(data) == expected
    left = [load_split(data, split).left_out.elsewhere for split in ("train", "dev", "test")]
    assert [22 - kept for kept in expected] == left


@pytest.mark.parametrize("named", ["dev", "Dev", "valid", "val", "VALIDATION", "eval"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_splits_are_known_by_their_usual_names(tmp_path: Path, named: str, kind: str) -> None:
    rows = [(f"a{i}", f"b{i}", i % 5, name) for name in ("train", named, "test") for i in range(4)]
    table = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score", "split"])
    path = tmp_path / f"a.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    assert sizes(of(path, {"split": "train"})) == [4, 4, 4]


def test_truth_and_numbers_match_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("s1\ta\t1\tTrue\t1.0\nx\tb\t2\tfalse\t1\ny\tc\t3\ttrue\t2\n", "utf-8")
    named = {"text_a": 0, "text_b": 1, "label": 2}
    assert load(path, where={3: True}, **named).text_a == ("s1", "y")
    assert load(path, where={4: 1}, **named).text_a == ("s1", "x")


def test_condition_that_leaves_nothing_names_what_there_is(one_file: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_split(of(one_file, {"split": "tarin"}), "train")
    message = str(caught.value)
    for part in (
        str(one_file),
        "'tarin'",
        "'train' (12 times)",
        "'validation' (6 times)",
        "data.where=",
    ):
        assert part in message
    with pytest.raises(DataError, match="column `splt` must exist"):
        load_split(of(one_file, {"splt": "train"}), "train")


def test_rows_of_other_splits_may_lack_scores(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "sentence1,sentence2,score,split\na,b,1,train\nc,d,2,train\ne,f,,test\n", "utf-8"
    )
    assert len(load(path, where={"split": "train"})) == 2


def test_conditions_make_another_config_and_none_the_old_one(recipe: Recipe) -> None:
    for changes in ({"where": {"split": "train"}}, {"unscored": "drop"}, {"split_text": "|"}):
        assert replace(recipe, data=replace(recipe.data, **changes)).config_id != recipe.config_id
    held = replace(recipe, data=replace(recipe.data, where={"train": {"fold": [1, 2]}, 3: True}))
    again = Recipe.from_dict(json.loads(json.dumps(asdict(held))))
    assert again == held
    assert again.config_id == held.config_id


# -- two texts in one cell -----------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("between", "setting"), [("\n", r"\n"), ("\n", "\n"), (" || ", "||"), ("\t", r"\t")]
)
def test_two_texts_in_one_cell(tmp_path: Path, end: str, between: str, setting: str) -> None:
    path = tmp_path / "a.csv"
    cells = [f"고양이{i}{between}개{i}" for i in range(6)]
    table = pd.DataFrame({"PairID": range(6), "Text": cells, "Score": [i / 5 for i in range(6)]})
    table.to_csv(path, index=False, lineterminator=end)
    for named in ({"text_a": "Text", "text_b": "Text"}, {"text_a": "Text"}):
        pairs = load(path, label="Score", split_text=setting, **named)
        assert pairs.text_a == tuple(f"고양이{i}" for i in range(6))
        assert pairs.text_b == tuple(f"개{i}" for i in range(6))


@pytest.mark.parametrize("cell", ["a", "a|b|c", "|b", "a| ", "|"])
def test_cell_that_does_not_hold_two_texts_is_refused_by_row(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"Text": text, "score": i} for i, text in enumerate(["a|b", cell, "c|d"])]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    with pytest.raises(DataError, match=r"data row 2.*\n.*data\.split_text"):
        load(path, text_a="Text", split_text="|")


# -- what is said --------------------------------------------------------------------------------


def test_guard_says_what_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"s{i},t{i},{i % 5},{'train' if i < 8 else 'dev'}" for i in range(12)]
    lines = ["a title", "sentence1,sentence2,score,split", *rows, ",,,", "x,y,,train"]
    path.write_text("\n".join(lines), "utf-8")
    data = Data(
        source="files", train=str(path), dev=str(path), where={"split": "train"}, unscored="drop"
    )
    said = "\n".join(guard(data).lines)
    assert "left out of train: 1 row without any cell, 1 row without a score, 4 rows that" in said
    assert "left out of dev: 1 row without any cell, 9 rows that" in said
    assert "1 line above the header" in said


SECRET = "비밀 " * 100


@pytest.mark.parametrize(
    "rows",
    [
        [(SECRET, "b", SECRET), ("c", "d", "1")],
        [("a", "", SECRET), (SECRET, "d", "1")],
        [("a", "b", "9"), (f"x{SECRET}", SECRET, "1")],
    ],
)
@pytest.mark.parametrize("kind", ["csv", "json", "columns", "header", "more cells", "where"])
def test_no_message_holds_more_than_a_piece_of_a_value(
    tmp_path: Path, rows: list[tuple[str, str, str]], kind: str
) -> None:
    path, where = tmp_path / "a.csv", {}
    table = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"])
    if kind == "json":
        table.to_json(path, orient="records", force_ascii=False)
    elif kind == "columns":
        table.rename(columns=str.upper).to_json(path, force_ascii=False)
    elif kind == "header":
        table.to_csv(path, index=False, header=False)
    elif kind == "more cells":
        path.write_text(f"sentence1,sentence2,score\n{SECRET},{SECRET},1,2,3\n", "utf-8")
    else:
        table.to_csv(path, index=False)
        where = {"sentence1": "nowhere"} if kind == "where" else {}
    with pytest.raises(DataError) as caught:
        load(path, where=where)
    assert SECRET[:80] not in str(caught.value)
