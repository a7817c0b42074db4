"""Pairs on which no score can say anything: a column or a file named by mistake."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.findings import Guard
from sweep.data.guard import guard
from sweep.data.pairs import load_split
from sweep.data.suspects import one_text_twice

ROWS = 40


def table(seed: int, rows: int = ROWS) -> pd.DataFrame:
    rng = random.Random(seed)
    first = [f"문장 {seed} {row} {rng.random():.4f} 이다" for row in range(rows)]
    second = [f"다른 {seed} {row} {rng.random():.4f} 이다" for row in range(rows)]
    scores = [round(5 * rng.random(), 2) for _ in range(rows)]
    return pd.DataFrame({"sentence1": first, "sentence2": second, "score": scores})


def data(folder: Path, **changes: Any) -> Data:
    """Settings for files `train.csv` and `dev.csv`, which are as they should be where missing."""
    for seed, split in enumerate(("train", "dev")):
        if not (folder / f"{split}.csv").exists():
            table(seed).to_csv(folder / f"{split}.csv", index=False)
    paths = {split: str(folder / f"{split}.csv") for split in ("train", "dev")}
    return Data(**{"source": "files", **paths, **changes})


def refusal(settings: Data) -> str:
    with pytest.raises(DataError) as caught:
        guard(settings)
    message = str(caught.value)
    assert "data.on_alike=warn" in message
    said = guard(replace(settings, on_alike="warn"))
    told = [f.sentence for f in said.findings if f.kind == "alike"]
    assert caught.value.value in told
    assert set(told) <= set(said.sentences)
    return message


def test_pairs_that_are_as_they_should_be_are_not_suspected(tmp_path: Path) -> None:
    found = guard(data(tmp_path))
    assert found.sentences == ["no train pair is also in dev or test"]


def test_single_sentences_are_called_sentences(tmp_path: Path) -> None:
    rows = table(1)
    rows.loc[:1, "sentence1"] = ["같은 글", "다른 글"]
    rows.to_csv(tmp_path / "dev.csv", index=False)
    pd.concat([table(0), rows[:1]]).to_csv(tmp_path / "train.csv", index=False)
    single = data(tmp_path, text_b=None)
    found = guard(single)
    assert found.sentences == [
        "1 train sentence also in dev or test (data.on_leak=drop takes them out)"
    ]
    assert found.findings[0].sentence.startswith("1 sentence of dev is also in train")
    with pytest.raises(DataError, match="No train sentence may be in dev"):
        guard(replace(single, on_leak="error"))
    shutil.copy(tmp_path / "train.csv", tmp_path / "dev.csv")
    assert "Sentences of dev must not be those of train" in refusal(single)
    assert "41 of 41 dev sentences are in train as well" in refusal(single)


# -- one text twice ----------------------------------------------------------------------------


def test_column_named_twice_is_refused_with_its_name(tmp_path: Path) -> None:
    message = refusal(data(tmp_path, text_b="sentence1"))
    assert "40 of 40 train pairs have one text twice" in message
    assert "both name `sentence1`" in message


def test_two_texts_in_one_cell_are_told_of_the_setting_that_splits_them(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "dev")):
        rows = table(seed)
        rows["Text"] = rows["sentence1"] + "\n" + rows["sentence2"]
        rows[["Text", "score"]].to_csv(tmp_path / f"{split}.csv", index=False)
    assert r"data.split_text=" in refusal(data(tmp_path, text_a="Text", text_b="Text"))


@pytest.mark.parametrize("change", [str, str.upper, lambda text: f" {text}! ", lambda t: t + "."])
def test_copy_of_a_column_is_refused_whatever_it_is_called(tmp_path: Path, change: Any) -> None:
    rows = table(1)
    rows["sentence2"] = rows["sentence1"].map(change)
    rows.to_csv(tmp_path / "dev.csv", index=False)
    assert "40 of 40 dev pairs have one text twice" in refusal(data(tmp_path))


@pytest.mark.parametrize(("alike", "is_refused"), [(36, True), (35, False), (10, False)])
def test_nine_of_ten_are_nearly_all(tmp_path: Path, alike: int, is_refused: bool) -> None:
    rows = table(0)
    rows.loc[: alike - 1, "sentence2"] = rows["sentence1"]
    rows.to_csv(tmp_path / "train.csv", index=False)
    if is_refused:
        assert f"{alike} of 40" in refusal(data(tmp_path))
    else:
        assert not [f for f in guard(data(tmp_path)).findings if f.kind == "alike"]


# -- a text that is the label ------------------------------------------------------------------


def test_label_named_as_a_text_is_refused(tmp_path: Path) -> None:
    message = refusal(data(tmp_path, text_b="score"))
    assert "data.text_b and data.label both name `score`" in message


@pytest.mark.parametrize("side", ["sentence1", "sentence2"])
@pytest.mark.parametrize("form", ["{}", "{:.3f}", " {} ", "{:e}"])
def test_copy_of_the_labels_as_a_text_is_refused(tmp_path: Path, side: str, form: str) -> None:
    rows = table(0)
    rows[side] = [form.format(score) for score in rows["score"]]
    rows.to_csv(tmp_path / "train.csv", index=False)
    assert "40 of 40 train pairs have their label as a text" in refusal(data(tmp_path))


def test_numbers_for_texts_are_said(tmp_path: Path) -> None:
    rows = table(0)
    rows["sentence1"] = [str(100 + row) for row in range(ROWS)]
    rows.to_csv(tmp_path / "train.csv", index=False)
    assert any("a column of ids or scores?" in line for line in guard(data(tmp_path)).lines)


# -- dev that is train -------------------------------------------------------------------------


def shuffled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sample(frac=1, random_state=3)


def exchanged(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.rename(columns={"sentence1": "sentence2", "sentence2": "sentence1"})


def scored_anew(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(score=rows["score"][::-1].tolist())


@pytest.mark.parametrize(
    "change", [lambda rows: rows, shuffled, exchanged, scored_anew, lambda rows: rows.head(15)]
)
def test_dev_that_holds_pairs_of_train_is_refused_in_any_order(tmp_path: Path, change: Any) -> None:
    change(table(0)).to_csv(tmp_path / "dev.csv", index=False)
    message = refusal(data(tmp_path))
    assert "dev pairs are in train as well" in message
    assert "data.dev=" in message


def test_few_sentences_that_make_up_all_pairs_meet_again_by_chance(tmp_path: Path) -> None:
    rng = random.Random(0)
    few = [f"문장 {number}" for number in range(5)]
    for split, count in (("train", 96), ("dev", 48)):
        rows = [
            (rng.choice(few), rng.choice(few), round(rng.random() * 5, 1)) for _ in range(count)
        ]
        frame = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"])
        frame.to_csv(tmp_path / f"{split}.csv", index=False)
    settings = data(tmp_path)
    assert told(guard(settings)) == []
    shuffled(pd.read_csv(settings.train)).to_csv(settings.dev, index=False)
    assert "96 of 96 dev pairs are in train as well" in refusal(settings)


def test_one_file_for_both_is_named_as_such(tmp_path: Path) -> None:
    both = data(tmp_path)
    message = refusal(replace(both, dev=both.train))
    assert "data.train and data.dev name one file" in message
    drawn = replace(both, dev=both.train, max_train_rows=30, max_dev_rows=20)
    assert "20 of 20 dev pairs are in train as well" in refusal(drawn)


def test_test_pairs_that_are_train_are_refused_those_of_dev_are_said(tmp_path: Path) -> None:
    own = data(tmp_path)
    assert "test pairs are in train as well" in refusal(replace(own, test=own.train))
    line = "40 of 40 test pairs are those of dev"
    assert any(line in sentence for sentence in guard(replace(own, test=own.dev)).sentences)


def test_dropping_takes_them_out_of_train_instead(tmp_path: Path) -> None:
    pd.concat([table(0), table(1)]).to_csv(tmp_path / "train.csv", index=False)
    settings = data(tmp_path)
    refusal(settings)
    dropped = guard(replace(settings, on_leak="drop"))
    assert dropped.dropped == ROWS


# -- what is only said -------------------------------------------------------------------------


def told(found: Guard) -> list[str]:
    return [f.sentence for f in found.findings if f.kind == "alike"]


def test_one_pair_again_and_again_is_said(tmp_path: Path) -> None:
    rows = table(0)
    rows[["sentence1", "sentence2"]] = ["고양이가 잔다", "개가 잔다"]
    rows.to_csv(tmp_path / "train.csv", index=False)
    assert told(guard(data(tmp_path))) == ["40 of 40 train pairs are one and the same"]


def test_one_text_in_all_pairs_is_said_and_cut_short(tmp_path: Path) -> None:
    rows = table(0).assign(sentence2="아주 긴 문장 " * 30)
    rows.to_csv(tmp_path / "train.csv", index=False)
    (sentence,) = told(guard(data(tmp_path)))
    assert sentence.startswith("40 of 40 train pairs have the same second text")
    assert len(sentence) < 120


def test_pairs_to_predict_are_looked_at_as_well(tmp_path: Path) -> None:
    pairs = load_split(data(tmp_path, text_b="sentence1"), "dev")
    assert one_text_twice(pairs, "given") == "40 of 40 given pairs have one text twice"
    assert one_text_twice(load_split(data(tmp_path), "dev"), "given") is None
