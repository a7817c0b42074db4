"""The form of a text file is found out by looking at its cells, and each setting overrules."""

from __future__ import annotations

import csv
import itertools
import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pair_tables import ROWS, load
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.reading import Reading
from sweep.data.tables import read_tables

NAMES = ("sentence1", "sentence2", "score")
TEXTS = [
    ("고양이가 잔다", "강아지가 잔다", "2.5"),
    ("a b", "c; d, e", "4.0"),
    ("x", "y | z", "0.0"),
]
KEPT = ("고양이가 잔다", "a b", "x"), ("강아지가 잔다", "c; d, e", "y | z"), [2.5, 4.0, 0.0]


def text_of(separator: str, end: str = "\n", quote: str = "") -> str:
    """As a program writes that quotes where a separator asks for it, or each cell."""
    rows = [NAMES, *TEXTS]
    return "".join(
        separator.join(
            f'"{cell}"' if quote or separator in cell else cell for cell in row
        ) + end
        for row in rows
    )  # fmt: skip


def assert_kept(path: Path, **settings: Any) -> None:
    pairs = load(path, **settings)
    assert pairs.labels is not None
    assert (pairs.text_a, pairs.text_b, pairs.labels.tolist()) == KEPT


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_separator_line_end_quotes_and_mark_are_found(
    tmp_path: Path, separator: str, end: str, quote: str, encoding: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text_of(separator, end, quote).encode(encoding))
    assert_kept(path)


# -- lines above the header ----------------------------------------------------------------------


@pytest.mark.parametrize("told", ["sep={}", '"sep={}"', "SEP={}", "sep={},,"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["\ufeff"])
def test_excel_s_line_for_the_separator_is_obeyed(
    tmp_path: Path, told: str, separator: str, end: str, mark: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((mark + told.format(separator) + end + text_of(separator, end)).encode())
    assert_kept(path)
    by_number = load(path, text_a=0, text_b=1, label=2, header=True)
    assert by_number.left_out.lines_above == 0


PREAMBLES = [
    ["# exported on 2026-11-30"],
    ["A title", ""],
    ["A title, with a comma; and more", "score", "", "by somebody"],
    ['He said "so"', "a\tb\tc"],
]


@pytest.mark.parametrize("lines", PREAMBLES)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("told", [True, False])
def test_lines_above_the_header_are_left_out_and_counted(
    tmp_path: Path, lines: list[str], separator: str, told: bool
) -> None:
    path = tmp_path / "a.csv"
    above = [f"sep={separator}"] * told + lines
    path.write_text("".join(f"{line}\n" for line in above) + text_of(separator), "utf-8")
    assert_kept(path)
    assert load(path).left_out.lines_above == sum(map(bool, lines))
    assert_kept(path, skip_lines=len(above))


def test_lines_above_rows_without_header_are_skipped_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    body = text_of(",").partition("\n")[2]
    path.write_text(f"# a comment\n# another\n{body}", "utf-8")
    assert_kept(path, text_a=0, text_b=1, label=2, skip_lines=2)


def test_what_stands_in_place_of_a_header_is_shown_in_short(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{'private ' * 40}\nx,y,z\na,b,1\n", "utf-8")
    with pytest.raises(DataError, match=r"data\.skip_lines") as caught:
        load(path)
    assert "private " * 11 not in str(caught.value)


# -- names of columns ----------------------------------------------------------------------------


@pytest.mark.parametrize("around", [" {}", "{} ", "\u3000{}\xa0", '"{}"', '" {} "', "\u200b{}"])
def test_names_match_without_what_surrounds_them(tmp_path: Path, around: str) -> None:
    path = tmp_path / "a.csv"
    header, _, body = text_of(",").partition("\n")
    path.write_text(",".join(map(around.format, header.split(","))) + f"\n{body}", "utf-8")
    assert_kept(path)


def test_name_that_stands_twice_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,sentence1,sentence2,score,score,id\n1,a,b,1,5,1\n2,c,d,2,4,2\n", "utf-8")
    with pytest.raises(DataError, match="must stand once") as caught:
        load(path)
    assert "score#3, score#4" in str(caught.value)
    for label in ("score#4", 4):
        labels = load(path, label=label).labels
        assert labels is not None
        assert labels.tolist() == [5.0, 4.0]


def test_index_without_a_name_is_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame(ROWS).to_csv(path)
    assert load(path).text_a[0] == "고양이가 잔다"


# -- quotes --------------------------------------------------------------------------------------


def test_quotes_of_pandas_do_not_end_up_in_the_texts(tmp_path: Path) -> None:
    rows = [(f'he said "{i}" to me', f'"{i}"', i / 10) for i in range(20)]
    for separator, quoting in itertools.product(",;\t|", (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)):
        path = tmp_path / "a.tsv"
        pd.DataFrame(rows, columns=[*NAMES]).to_csv(
            path, sep=separator, index=False, quoting=quoting
        )
        pairs = load(path)
        assert pairs.text_a == tuple(a for a, _, _ in rows)
        assert pairs.text_b == tuple(b for _, b, _ in rows)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_column_between_quotes_is_seen_beside_others_without(
    tmp_path: Path, place: int, separator: str
) -> None:
    path = tmp_path / "a.tsv"
    lines = [
        separator.join(f'"{cell}"' if i == place else cell for i, cell in enumerate(row))
        for row in (("a b", "c", "1"), ("d", "e f", "2"), ("g", "h", "3"))
    ]
    path.write_text("\n".join([separator.join(NAMES), *lines]), "utf-8")
    pairs = load(path)
    assert (pairs.text_a, pairs.text_b) == (("a b", "d", "g"), ("c", "e f", "h"))


LONE = ['"', '"시작', '끝"', 'a "b" c', '"a" b', 'b "a"', '""', '"a"" b', '5" pipe']


@pytest.mark.parametrize("lone", itertools.combinations(LONE, 2))
@pytest.mark.parametrize("header", [True, False])
def test_lone_quotes_of_files_without_quoting_are_text(
    tmp_path: Path, lone: tuple[str, str], header: bool
) -> None:
    path = tmp_path / "a.tsv"
    rows = [("x", "y", "1.5"), (lone[0], "z", "2"), ("v", lone[1], "3"), ("s", "t", "4.25")]
    lines = ["\t".join(NAMES)] * header + ["\t".join(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    pairs = load(path) if header else load(path, text_a=0, text_b=1, label=2)
    assert pairs.text_a == tuple(a for a, _, _ in rows)
    assert pairs.text_b == tuple(b for _, b, _ in rows)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_setting_for_quotes_overrules(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "a.csv"
    rows = [NAMES, ('"a"', '"b"', "1"), ('"c"', '"d"', "2")]
    path.write_text("\n".join(map(separator.join, rows)), "utf-8")
    assert load(path).text_a == ("a", "c")
    assert load(path, quoting=True).text_a == ("a", "c")
    assert load(path, quoting=False).text_a == ('"a"', '"c"')


def test_quotes_that_can_be_read_in_two_ways_are_refused_until_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('sentence1|score|sentence2\n1|0.0|"\n|1.0|"\n')
    with pytest.raises(DataError, match="two ways") as caught:
        load(tmp_path / "a.csv")
    assert "data.quoting=true" in str(caught.value)
    (one,) = load(tmp_path / "a.csv", quoting=True).text_b
    assert one == "\n|1.0|"
    (tmp_path / "b.csv").write_text('sentence1|score|sentence2\n1|0.0|"\n2|1.0|"\n')
    assert load(tmp_path / "b.csv", quoting=False).text_b == ('"', '"')


@pytest.mark.parametrize("quoted", ['"a" b', '"a"b"', '"never closed'])
def test_broken_quotes_among_many_name_their_row(tmp_path: Path, quoted: str) -> None:
    path = tmp_path / "a.csv"
    good = [f'"a, {i}","b, {i}",{i / 10}' for i in range(20)]
    path.write_text("\n".join([",".join(NAMES), *good, f"{quoted},b,1"]), "utf-8")
    with pytest.raises(DataError, match=r"row 22.*quote") as caught:
        load(path)
    assert "data.quoting" in str(caught.value)


def test_blank_before_a_quote_is_no_part_of_the_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('sentence1, sentence2, score\n"a, b", "c, d", 1\n"e", "f, g", 2\n', "utf-8")
    pairs = load(path)
    assert (pairs.text_a, pairs.text_b) == (("a, b", "e"), ("c, d", "f, g"))


# -- decimals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize(
    "scores", [("2,5", "4", "0,25"), ("2,5", "4,75", "0,0"), ("0,125", "1,250", "3,5")]
)
def test_comma_before_decimals_is_seen(
    tmp_path: Path, separator: str, scores: tuple[str, ...]
) -> None:
    path = tmp_path / "a.csv"
    cells = [f'"{score}"' if separator == "," else score for score in scores]
    lines = [separator.join(("a", f"b{i}", cell)) for i, cell in enumerate(cells)]
    path.write_text("\n".join([separator.join(NAMES), *lines]), "utf-8")
    expected = [float(score.replace(",", ".")) for score in scores]
    for settings in ({}, {"decimal": ","}):
        labels = load(path, **settings).labels
        assert labels is not None
        assert labels.tolist() == expected
    with pytest.raises(DataError, match=r"data\.decimal"):
        load(path, decimal=".")


@pytest.mark.parametrize(
    ("scores", "highest"), [(("2,5", "3.5"), 5), (("1,234", "2,500"), 5000), (("1,5", "7,5"), 5)]
)
def test_comma_that_leaves_a_doubt_is_refused(
    tmp_path: Path, scores: tuple[str, str], highest: float
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join([";".join(NAMES), *(f"a;b;{s}" for s in scores)]), "utf-8")
    with pytest.raises(DataError, match=r"data\.decimal") as caught:
        load(path, label_range=(0, highest))
    assert "data row 1" in str(caught.value)
    if scores[0] == "1,234":
        labels = load(path, label_range=(0, highest), decimal=",").labels
        assert labels is not None
        assert labels.tolist() == [1.234, 2.5]


# -- backslashes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_backslash_before_a_quote_inside_of_quotes_is_none_of_the_text(
    tmp_path: Path, separator: str, quoting: int
) -> None:
    rows = [(f'he said "no{separator} no"', "a\\b", 1.0), ("x", 'the "', 2.0), ('"', "C:\\", 3.0)]
    path = tmp_path / "a.csv"
    pd.DataFrame(rows, columns=[*NAMES]).to_csv(
        path, sep=separator, index=False, quoting=quoting, doublequote=False, escapechar="\\"
    )
    pairs = load(path)
    assert pairs.text_a == tuple(a for a, _, _ in rows)
    assert pairs.text_b == tuple(b for _, b, _ in rows)


@pytest.mark.parametrize("text", ["\\", 'a\\"', '\\"a\\"', "C:\\new"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE])
def test_backslash_of_a_text_stays(tmp_path: Path, text: str, quoting: int) -> None:
    rows = [(f"x{i}{text}", text, i) for i in range(4)]
    path = tmp_path / "a.tsv"
    pd.DataFrame(rows, columns=[*NAMES]).to_csv(path, sep="\t", index=False, quoting=quoting)
    pairs = load(path)
    assert pairs.text_a == tuple(a for a, _, _ in rows)
    assert pairs.text_b == tuple(b for _, b, _ in rows)


def test_name_of_a_mac_is_found(tmp_path: Path) -> None:
    names = ["문장1", "문장2", "점수"]
    for written, asked in itertools.product(("NFC", "NFD"), repeat=2):
        for kind in ("csv", "json", "parquet"):
            path = tmp_path / f"a.{kind}"
            spelt = [unicodedata.normalize(written, name) for name in names]
            table = pd.DataFrame([("a", "b", 1.0), ("c", "d", 2.0)], columns=spelt)
            {"csv": table.to_csv, "json": table.to_json, "parquet": table.to_parquet}[kind](path)
            text_a, text_b, label = (unicodedata.normalize(asked, name) for name in names)
            assert load(path, text_a=text_a, text_b=text_b, label=label).text_a == ("a", "c")


# -- encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("cp949", "cp949"),
        ("euc-kr", "cp949"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("shift_jis", "data.encoding="),
        ("cp1252", "data.encoding="),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_likely_encoding_is_named_and_the_setting_reads_it(
    tmp_path: Path, encoding: str, named: str, kind: str
) -> None:
    texts = {"shift_jis": "これは鳥の声です", "cp1252": "Où est le café, Émile ?"}
    text = texts.get(encoding, "고양이가 잔다")
    table = pd.DataFrame([(f"{text} {i}", text, i / 2) for i in range(8)], columns=[*NAMES])
    path = tmp_path / f"a.{kind}"
    written = {
        "csv": table.to_csv(index=False),
        "json": table.to_json(force_ascii=False),
        "jsonl": table.to_json(orient="records", lines=True, force_ascii=False),
    }[kind]
    path.write_bytes(written.encode(encoding))
    with pytest.raises(DataError) as caught:
        load(path)
    assert named in str(caught.value)
    assert "--encoding" in str(caught.value)
    assert load(path, encoding=encoding).text_a[3] == f"{text} 3"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_mark_decides_whatever_was_set(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text_of(",").encode(encoding))
    assert_kept(path, encoding="cp949")


def test_rows_come_in_parts_with_their_numbers(tmp_path: Path) -> None:
    table = pd.DataFrame([(f"a{i}", f"b{i}", i / 100) for i in range(500)], columns=[*NAMES])
    writers = {
        "csv": table.to_csv,
        "parquet": table.to_parquet,
        "jsonl": lambda path: table.to_json(path, orient="records", lines=True),
        "json": table.to_json,
        "feather": table.to_feather,
    }
    for kind, write_to in writers.items():
        write_to(tmp_path / f"a.{kind}")
        parts = list(read_tables(tmp_path / f"a.{kind}", Reading.of(Data()), rows=64))
        assert [len(part) for part in parts] == [*[64] * 7, 52]
        assert [number for part in parts for number in part.index] == [*range(1, 501)]
        assert [text for part in parts for text in part["sentence2"]] == [*table["sentence2"]]
