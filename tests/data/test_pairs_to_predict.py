"""Pairs to predict: labels that are missing or of no use, other separators and encodings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pair_tables import ROWS, write
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from windows import load_unscored


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


@pytest.mark.parametrize("separator", ["^", "|", ";", ",", "\t"])
@pytest.mark.parametrize("studied", ["^", ";", None])
def test_pairs_to_predict_are_cut_as_the_training_files_or_else_as_they_look(
    tmp_path: Path, separator: str, studied: str | None
) -> None:
    path = tmp_path / "a.csv"
    lines = [["sentence1", "sentence2"], ["a b", "c"], ["d", "e f"]]
    path.write_text("\n".join(map(separator.join, lines)), encoding="utf-8")
    data = Data(separator=studied)
    if separator == "^" != studied:
        with pytest.raises(DataError, match="must exist"):
            load_unscored(path, data, tell=print)
    else:
        assert load_unscored(path, data, tell=print).text_b == ("c", "e f")
    asked = replace(data, separator=separator)
    found = load_unscored(path, asked, tell=print, given={"separator"})
    assert found.text_b == ("c", "e f")


def test_number_of_a_label_is_none_of_a_file_with_other_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b,year\nx,y,1\nz,w,2\n", encoding="utf-8")
    studied = Data(text_a=0, text_b=1, label=2, header=False)
    asked = replace(studied, text_a="a", text_b="b")
    found = load_unscored(path, asked, tell=print, given={"text_a", "text_b"})
    assert (found.text_a, found.labels) == (("x", "z"), None)


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
