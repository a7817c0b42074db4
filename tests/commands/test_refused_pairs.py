"""Pairs that no sweep is begun with, through the command line, and the setting that allows them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from command_line import run

WORDS = ["눈사람", "자전거", "우산", "별", "강물", "연필", "구름", "소나기"]


@pytest.fixture
def strange(home: Path) -> list[str]:
    """Files of words that the tiny model does not know."""
    for seed, split in enumerate(("train", "dev")):
        rows = [
            (f"{one} {other}", f"{other} {split}{n}", n % 6)
            for n, (one, other) in enumerate(zip(WORDS * 4, WORDS[seed + 1 :] * 5, strict=False))
        ]
        frame = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"])
        frame.to_csv(f"{split}.csv", index=False)
    return ["data.train=train.csv", "data.dev=dev.csv"]


def refused(*arguments: str, capfd: pytest.CaptureFixture[str]) -> str:
    code, _, err = run(*arguments, capfd=capfd)
    assert code == 2
    assert "Traceback" not in err
    assert len(err.splitlines()) < 8
    assert max(map(len, err.splitlines())) < 300
    assert not Path("results").exists()
    return err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.text_b=sentence1", "both name `sentence1`"),
        ("data.text_a=score", "data.text_a and data.label both name `score`"),
        ("data.dev={train}", "data.train and data.dev name one file"),
        ("data.test={train}", "data.train and data.test name one file"),
    ],
)
def test_columns_and_files_named_by_mistake(
    override: str, said: str, home: Path, arguments: list[str], pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = override.format(train=pair_files["train"])
    err = refused(*arguments, given, capfd=capfd)
    assert said in err
    assert "data.on_alike=warn" in err


@pytest.mark.long
def test_words_that_the_model_does_not_know(
    home: Path, arguments: list[str], strange: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    err = refused(*arguments, *strange, capfd=capfd)
    assert "of the words of the train pairs (눈사람, 자전거, " in err
    assert "data.on_unknown=warn" in err


@pytest.mark.trains
def test_who_wants_them_trains_all_the_same_and_is_told(
    home: Path, arguments: list[str], pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    one = "search.space={lora.r:[2]}"
    same = [f"data.dev={pair_files['train']}", "data.on_alike=warn", one]
    code, out, _ = run(*arguments, *same, capfd=capfd)
    assert code == 0
    assert "96 of 96 dev pairs are in train as well" in out
    # Another start may allow no more: nothing of the result rests on it.
    err = run(*arguments, *same[:1], one, capfd=capfd)[2]
    assert "are in train as well" in err
    assert run(*arguments, *same, "data.on_unknown=warn", capfd=capfd)[0] == 0
