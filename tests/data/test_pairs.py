"""Files as people have them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from pair_tables import ROWS, load, write
from sweep.core.errors import DataError


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
    with pytest.raises(DataError, match=re.escape("list both: `[label,labels.label]`")):
        load(nested, label="label")


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
