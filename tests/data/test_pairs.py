"""Files as people have them, and what is wrong with some of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.pairs import Pairs, load_split, load_unscored

ROWS = [
    {"sentence1": "고양이가 잔다", "sentence2": "강아지가 잔다", "score": 2.5},
    {"sentence1": 'He said "no"', "sentence2": "He, too, said no", "score": 4.0},
    {"sentence1": "NA", "sentence2": "null", "score": 0.0},
]


def load(path: Path, **changes: Any) -> Pairs:
    return load_split(replace(Data(source="files", train=str(path)), **changes), "train")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    else:
        lines = ["\t".join(rows[0]), *("\t".join(map(str, r.values())) for r in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_kind_of_file_gives_the_same_pairs(tmp_path: Path, kind: str) -> None:
    pairs = load(write(tmp_path / f"자료 묶음.{kind}", ROWS))
    assert pairs.text_a == ("고양이가 잔다", 'He said "no"', "NA")
    assert pairs.text_b == ("강아지가 잔다", "He, too, said no", "null")
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [2.5, 4.0, 0.0]


def test_lone_quote_in_a_tab_separated_file_is_text(tmp_path: Path) -> None:
    rows = [{"sentence1": '"start', "sentence2": "b", "score": 1}, {**ROWS[0]}, {**ROWS[2]}]
    assert load(write(tmp_path / "a.tsv", rows)).text_a[0] == '"start'


def test_tab_separated_csv_without_header_and_with_ragged_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\t1.5\ta, b\tc\nx\t3.0\td\te\textra\n", encoding="utf-8")
    pairs = load(path, text_a=2, text_b=3, label=1)
    assert pairs.text_a == ("a, b", "d")
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [1.5, 3.0]


@pytest.mark.parametrize("between", ["\u2028", "\u2029", "\x85", "\u000b", "\x0c", "\x1c"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_of_json_ends_at_a_line_feed_only(tmp_path: Path, between: str, end: str) -> None:
    row = {"sentence1": f"a{between}b", "sentence2": f"{between}c", "score": 1.0}
    # JSON itself wants control characters escaped; U+0085 and above stand as they are.
    lines = [json.dumps({**row, "score": s}, ensure_ascii=False) for s in (1.0, 2.0)]
    path = tmp_path / "a.jsonl"
    path.write_bytes((end.join(lines) + end).encode())
    assert load(path).text_a == (f"a{between}b",) * 2


@pytest.mark.parametrize("end", [",", ",,"])
def test_cells_never_slip_into_the_next_column(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.csv"
    lines = ["id,sentence1,sentence2,score", "1,a,b,2.5", "2,c,d,3.5"]
    path.write_text("\n".join([lines[0], *(line + end for line in lines[1:])]), encoding="utf-8")
    if end == ",,":
        with pytest.raises(DataError, match="more cells than the header, which names 4"):
            load(path)
        return
    pairs = load(path)
    assert (pairs.text_a, pairs.text_b) == (("a", "c"), ("b", "d"))
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [2.5, 3.5]


@pytest.mark.parametrize("row", ["well, a,b,2.5", "a,b,2.5,x"])
@pytest.mark.parametrize("before", [0, 1])
def test_row_with_more_cells_than_names_is_refused(tmp_path: Path, row: str, before: int) -> None:
    path = tmp_path / "a.csv"
    rows = ["sentence1,sentence2,score", *["c,d,3.5"] * before, row, row]
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"row 1 has more cells|line 3, saw 4"):
        load(path)


HEADERS = {
    ",": "sentence1,sentence2,score",
    ";": "sentence1;sentence2;score",
    "\t": "sentence1\tsentence2\tscore",
}


@pytest.mark.parametrize("separator", ["::", "||", "**", " | ", "\t\t", "¦", "，"])
@pytest.mark.parametrize("header", [True, False])
def test_separator_of_several_characters(tmp_path: Path, separator: str, header: bool) -> None:
    lines = [("sentence1", "sentence2", "score")] * header
    lines += [("비가 온다", "눈이 온다", "1.5"), ("a; b", f'"c{separator}d"', "3")]
    path = tmp_path / "a.txt.csv"
    path.write_text("\n".join(map(separator.join, lines)) + "\n", encoding="utf-8")
    names = {} if header else {"header": False, "text_a": 0, "text_b": 1, "label": 2}
    pairs = load(path, separator=separator, **names)
    assert pairs.text_a == ("비가 온다", "a; b")
    assert pairs.text_b == ("눈이 온다", f"c{separator}d")
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [1.5, 3.0]


def test_truth_is_a_label(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "score": value} for value in (True, False, True)]
    for kind in ("csv", "jsonl", "parquet"):
        pairs = load(write(tmp_path / f"a.{kind}", rows), label_range=(0.0, 1.0))
        assert pairs.labels is not None
        assert pairs.labels.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("separator", HEADERS)
@pytest.mark.parametrize("text", ["a, b, c, d", "a; b; c; d", "a", "a, b; c, d; e"])
@pytest.mark.parametrize("header", [True, False])
def test_separator_is_that_of_the_lines_whatever_the_texts_hold(
    tmp_path: Path, separator: str, text: str, header: bool
) -> None:
    path = tmp_path / "a.csv"
    # As a table program quotes: only what holds the separator.
    first = f'"{text}"' if separator in text else text
    rows = [separator.join([first, f"{i}", f"{i}.5"]) for i in range(4)]
    path.write_text("\n".join([HEADERS[separator]] * header + rows) + "\n", encoding="utf-8")
    named = {} if header else {"text_a": 0, "text_b": 1, "label": 2}
    pairs = load(path, **named)
    assert pairs.text_a == (text,) * 4
    assert pairs.text_b == ("0", "1", "2", "3")


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_text_of_numerals_is_text(tmp_path: Path, kind: str) -> None:
    rows = [
        {"sentence1": a, "sentence2": b, "score": i + 0.5}
        for i, (a, b) in enumerate([("2020", "007"), ("1e3", "0.10"), ("-1", "12")])
    ]
    pairs = load(write(tmp_path / f"a.{kind}", rows))
    assert pairs.text_a == ("2020", "1e3", "-1")
    assert pairs.text_b == ("007", "0.10", "12")


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_whole_number_in_a_text_column_is_its_numerals(tmp_path: Path, kind: str) -> None:
    rows = [{"sentence1": n, "sentence2": "b", "score": n / 1000} for n in (2020, 7)]
    assert load(write(tmp_path / f"a.{kind}", rows)).text_a == ("2020", "7")


def test_label_in_a_struct_is_reached_by_a_dotted_path(tmp_path: Path) -> None:
    rows = [
        {"sentence1": "a", "sentence2": "b", "labels": {"label": n, "binary-label": 1}}
        for n in (1.0, 2.0)
    ]
    for kind in ("json", "parquet"):
        pairs = load(write(tmp_path / f"a.{kind}", rows), label="labels.label")
        assert pairs.labels is not None
        assert pairs.labels.tolist() == [1.0, 2.0]


def test_splits_may_name_their_columns_differently(tmp_path: Path) -> None:
    flat = write(tmp_path / "a.csv", ROWS)
    nested = write(
        tmp_path / "b.json",
        [{**r, "labels": {"label": r.pop("score")}} for r in (dict(row) for row in ROWS)],
    )
    for path in (flat, nested):
        pairs = load(path, label=("score", "labels.label"))
        assert pairs.labels is not None
        assert pairs.labels.tolist() == [2.5, 4.0, 0.0]


def test_other_unicode_form_of_a_name_is_found(tmp_path: Path) -> None:
    import unicodedata

    written = write(tmp_path / unicodedata.normalize("NFD", "훈련.csv"), ROWS)
    assert len(load(written.with_name(unicodedata.normalize("NFC", "훈련.csv")))) == 3


def test_excel_s_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame(ROWS).to_csv(path, index=False, encoding="utf-8-sig")
    assert len(load(path)) == 3


def test_old_korean_encoding_is_named_and_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame(ROWS).to_csv(path, index=False, encoding="cp949")
    with pytest.raises(DataError, match="cp949"):
        load(path)
    assert load(path, encoding="cp949").text_a[0] == "고양이가 잔다"


def test_part_of_the_rows_is_drawn_at_random_and_always_the_same(tmp_path: Path) -> None:
    rows = [{"sentence1": f"s{i}", "sentence2": "b", "score": i % 5} for i in range(100)]
    path = write(tmp_path / "a.csv", rows)
    first, again = load(path, max_train_rows=20), load(path, max_train_rows=20)
    assert first.digest() == again.digest()
    assert len(first) == 20
    assert first.text_a != tuple(f"s{i}" for i in range(20))


def test_digest_sees_a_changed_label(tmp_path: Path) -> None:
    before = load(write(tmp_path / "a.csv", ROWS)).digest()
    after = load(write(tmp_path / "a.csv", [{**ROWS[0], "score": 2.6}, *ROWS[1:]])).digest()
    assert before != after
    assert load(write(tmp_path / "a.csv", ROWS)).digest() == before


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


def test_folder_in_place_of_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)


def test_pairs_to_predict_need_no_labels(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b"}]
    said: list[str] = []
    file = write(tmp_path / "a.csv", rows)
    assert load_unscored(file, Data(), tell=said.append).labels is None
    scored = load_unscored(write(tmp_path / "b.csv", ROWS), Data(), tell=said.append).labels
    assert scored is not None
    assert np.array_equal(scored, [2.5, 4.0, 0.0])
    assert said == []
    with pytest.raises(DataError, match="column `score` must exist"):
        load_unscored(file, Data(), needs_labels=True, tell=said.append)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([-1, -1], "-1 everywhere"),
        ([None, None], "in data row 1"),
        ([3.0, None], "in data row 2"),
        ([3.0, 3.0], "3 everywhere"),
        ([7, 1], "holds 7 in data row 1"),
        (["good", "bad"], "'good' in data row 1"),
    ],
)
def test_labels_that_are_of_no_use_do_not_keep_pairs_from_being_scored(
    tmp_path: Path, kind: str, labels: list[Any], why: str
) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "score": label} for label in labels]
    file, said = write(tmp_path / f"a.{kind}", rows), list[str]()
    pairs = load_unscored(file, Data(), tell=said.append)
    assert (pairs.text_a, pairs.labels) == (("a", "a"), None)
    assert len(said) == 1
    assert why in said[0]
    with pytest.raises(DataError, match=why):
        load_unscored(file, Data(), needs_labels=True, tell=said.append)


@pytest.mark.parametrize("separator", ["|", ";", ",", "\t"])
@pytest.mark.parametrize("studied", ["|", ";", None])
def test_pairs_to_predict_are_cut_as_the_training_files_or_else_as_they_look(
    tmp_path: Path, separator: str, studied: str | None
) -> None:
    path = tmp_path / "a.csv"
    lines = [["sentence1", "sentence2"], ["a b", "c"], ["d", "e f"]]
    path.write_text("\n".join(map(separator.join, lines)), encoding="utf-8")
    data = Data(separator=studied)
    if separator == "|" != studied:
        with pytest.raises(DataError, match="must exist"):
            load_unscored(path, data, tell=print)
    else:
        assert load_unscored(path, data, tell=print).text_b == ("c", "e f")


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize("written", ["utf-8", "utf-8-sig", "cp949", "shift_jis"])
@pytest.mark.parametrize("studied", ["utf-8-sig", "cp949", "shift_jis"])
def test_pairs_to_predict_may_be_in_another_encoding_than_the_training_files(
    tmp_path: Path, kind: str, written: str, studied: str
) -> None:
    path, said = tmp_path / f"a.{kind}", list[str]()
    # Neither's bytes are text in the other's encoding.
    texts = ("ｱ", "の、") if written == "shift_jis" else ("고양이가 잔다", "라마바")
    write(path, [dict(zip(("sentence1", "sentence2"), texts, strict=True))])
    path.write_bytes(path.read_text("utf-8").encode(written))
    if written == "shift_jis" != studied:
        with pytest.raises(DataError, match="save it as UTF-8") as caught:
            load_unscored(path, Data(encoding=studied), tell=said.append)
        assert "data.encoding" not in str(caught.value)
        return
    pairs = load_unscored(path, Data(encoding=studied), tell=said.append)
    assert (pairs.text_a, pairs.text_b) == (texts[:1], texts[1:])
    # A guess is said.
    assert len(said) == (written == "cp949" != studied)


def test_hub_without_network_says_what_was_sought_and_both_ways_out() -> None:
    data = Data(source="hub", path="klue", name="sts", train="train", label="labels.label")
    with pytest.raises(DataError) as caught:
        load_split(data, "train")
    message = str(caught.value)
    for part in ("klue (sts)", "split `train`", "data=files", "+experiment=lora_grid"):
        assert part in message
