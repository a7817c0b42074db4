"""The data guard: what it finds, what it says, and what `data.on_leak` does about it."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sweep.core.errors import DataError
from sweep.core.recipe import Data, Recipe
from sweep.data.findings import Finding, Guard
from sweep.data.guard import guard
from sweep.data.pairs import load_split

LONG = "서울의 오래된 골목에서 고양이 두 마리가 햇볕을 쬐고 있다"
TRAIN = [
    ("고양이가 잔다", "개가 잔다", 1.0),
    ("기차가 온다", "버스가 온다", 2.0),
    ("A cat sleeps.", "A dog sleeps.", 3.0),
    ("바다가 보인다", "산이 보인다", 0.0),
    ("바다가 보인다", "산이 보인다", 0.5),
    ("나무가 크다", "나무가 크다", 5.0),
    (LONG, "아이가 책을 읽는다", 4.0),
    ("비가 온다", "눈이 온다", 2.0),
]
DEV = [
    ("고양이가 잔다", "개가 잔다", 1.5),
    ("버스가 온다", "기차가 온다", 2.0),
    (unicodedata.normalize("NFD", "바다가 보인다"), "산이 보인다!", 0.0),
    (LONG + "!", "그 아이가 책을 읽는다", 4.0),
    ("새가 난다", "물고기가 헤엄친다", 1.0),
]
TEST = [("a  CAT sleeps", "a dog sleeps", 2.0), ("꽃이 핀다", "꽃이 진다", 1.0)]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    paths = {}
    for name, rows in (("train", TRAIN), ("dev", DEV), ("test", TEST)):
        path = tmp_path / f"{name}.csv"
        pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"]).to_csv(path, index=False)
        paths[name] = str(path)
    return Data(source="files", **paths)


def found(guarded: Guard, kind: str, *splits: str) -> Finding | None:
    return next((f for f in guarded.findings if (f.kind, f.splits) == (kind, splits)), None)


def test_every_kind_of_duplicate_is_found_with_an_example(data: Data) -> None:
    guarded = guard(data)
    for kind, splits in (
        ("exact", ("train", "dev")),
        ("swapped", ("train", "dev")),
        ("normalised", ("train", "dev")),
        ("near", ("train", "dev")),
        ("normalised", ("train", "test")),
        ("exact", ("train",)),
        ("one_sentence", ("train",)),
    ):
        finding = found(guarded, kind, *splits)
        assert finding is not None, (kind, splits)
        assert finding.count == 1
        assert finding.level == ("warn" if len(splits) == 2 else "info")
    swapped = found(guarded, "swapped", "train", "dev")
    assert swapped is not None
    assert swapped.examples == (
        ["train 2: 기차가 온다 | 버스가 온다", "dev 2: 버스가 온다 | 기차가 온다"],
    )
    exact = found(guarded, "exact", "train")
    assert exact is not None
    assert "0.5 apart" in exact.sentence


def test_head_of_the_sweep_says_it_in_a_line_with_the_way_out(data: Data) -> None:
    line = guard(data).lines[0]
    assert line.startswith("guard  5 train pairs also in dev or test")
    assert "data.on_leak=drop" in line
    assert "1 nearly" in line


def test_drop_takes_out_what_is_the_same_but_not_what_is_nearly_so(data: Data) -> None:
    clean = replace(data, on_leak="drop")
    left = load_split(clean, "train")
    assert left.text_a == ("나무가 크다", LONG, "비가 온다")
    assert left.labels is not None
    assert left.labels.tolist() == [5.0, 4.0, 2.0]
    assert len(load_split(data, "train")) == len(TRAIN)
    guarded = guard(clean)
    assert (guarded.leaking, guarded.dropped) == (5, 5)
    assert "taken out" in guarded.lines[0]
    exact = found(guarded, "exact", "train", "dev")
    assert exact is not None
    assert exact.level == "info"


def test_drop_knows_spacing_for_the_same_and_numbers_and_signs_for_different(
    data: Data, tmp_path: Path
) -> None:
    kept = [("오늘은 5도이다", "오늘은 -5도이다", 0.5), ("C를 배운다", "C#을 배운다", 2.0)]
    leaks = [("아무 것도 할 수 없다", "할 수 있는 것이 없다", 4.5)]
    there = [("오늘은 5도이다", "오늘은 5도이다", 5.0), ("C를 배운다", "C++을 배운다", 2.0)]
    spaced = [("아무것도 할수없다", "할수있는것이\u200b없다", 4.5)]
    for name, rows in (("train", kept + leaks), ("dev", there + spaced)):
        frame = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"])
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    left = load_split(replace(data, test=None, on_leak="drop"), "train")
    assert list(zip(left.text_a, left.text_b, strict=True)) == [row[:2] for row in kept]


def test_error_refuses_with_an_example(data: Data) -> None:
    with pytest.raises(DataError, match="고양이가 잔다") as caught:
        guard(replace(data, on_leak="error"))
    assert "data.on_leak=drop" in str(caught.value)


def test_clean_data_is_said_to_be_clean_and_error_lets_it_pass(data: Data, tmp_path: Path) -> None:
    rows = [("새가 난다", "물고기가 헤엄친다", 1.0), ("꽃이 핀다", "꽃이 진다", 2.0)]
    frame = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"])
    frame.to_csv(tmp_path / "clean.csv", index=False)
    clean = replace(data, dev=str(tmp_path / "clean.csv"), test=None, on_leak="error")
    assert guard(clean).lines[0] == "guard  no train pair is also in dev or test"


def test_many_copies_of_one_pair_are_found_in_linear_time(data: Data, tmp_path: Path) -> None:
    rows = [("고양이가 잔다", "개가 잔다", i % 5) for i in range(3_000)]
    frame = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"])
    frame.to_csv(tmp_path / "copies.csv", index=False)
    exact = found(guard(replace(data, train=str(tmp_path / "copies.csv"))), "exact", "train")
    assert exact is not None
    assert exact.count == 2_999
    assert len(exact.examples) == 5


@pytest.mark.parametrize(("moved", "level"), [(0.0, "info"), (1.5, "warn")])
def test_scores_of_train_and_dev_are_compared(
    data: Data, tmp_path: Path, moved: float, level: str
) -> None:
    rng = np.random.default_rng(0)
    for name, shift in (("train", 0.0), ("dev", moved)):
        frame = pd.DataFrame({
            "sentence1": [f"{name} {i}" for i in range(300)],
            "sentence2": "b",
            "score": rng.uniform(0, 3, 300) + shift,
        })  # fmt: skip
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    labels = found(guard(data), "labels", "train", "dev")
    assert labels is not None
    assert labels.level == level


def test_ties_at_the_ends_are_shares_of_the_rows(data: Data) -> None:
    ends = found(guard(data), "ends", "train")
    assert ends is not None
    assert ends.sentence.startswith("12.5% of the train scores are 0, the lowest, and 12.5% are 5")


def test_only_dropping_makes_another_config(recipe: Recipe) -> None:
    ids = {
        how: replace(recipe, data=replace(recipe.data, on_leak=how)).config_id  # type: ignore[arg-type]
        for how in ("warn", "error", "drop")
    }
    assert ids["warn"] == ids["error"] == recipe.config_id
    assert ids["drop"] != recipe.config_id
