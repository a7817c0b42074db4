"""Two studies beside each other: the same pairs or a refusal, and a verdict in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from finished import LABELS, make
from sweep.commands.cli import run_command
from sweep.core.recipe import Model, Recipe


def said(*studies: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run_command(["compare", *map(str, studies)])
    out, err = capfd.readouterr()
    return code, " ".join((out + err).split())


@pytest.mark.long
def test_clear_winner_is_named_whichever_comes_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good = make(tmp_path / "좋은", {2: 0.5, 8: 3.0}, model="a/small")
    bad = make(tmp_path / "나쁜", {2: 9.0, 8: 1.5}, model="b/large")
    for pair in ((good, bad), (bad, good)):
        code, text = said(*pair, capfd=capfd)
        assert code == 0
        assert f"verdict {good} is better than {bad} by +0." in text
        assert "paired on 200 pairs" in text
        assert "luck of the seed" in text
        for part in ("small", "large", "r=2", "r=8"):
            assert part in text


def test_recommended_config_stands_for_its_study(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good = make(tmp_path / "a", {2: 0.5, 8: 3.0}, model="m")
    other = make(tmp_path / "b", {8: 3.0}, model="m")
    recommended = Recipe(model=Model(path="m")).with_values({"lora.r": 8}).config_id
    verdict = json.loads((good / "verdict.json").read_text(encoding="utf-8"))
    told = json.dumps({**verdict, "recommended": recommended})
    (good / "verdict.json").write_text(told, encoding="utf-8")
    code, text = said(good, other, capfd=capfd)
    assert code == 0
    assert "can't be told apart" in text
    assert "+0.0000" in text


@pytest.mark.parametrize("change", ["labels", "texts", "rows"])
def test_other_dev_pairs_are_refused_with_the_reason(
    tmp_path: Path, change: str, capfd: pytest.CaptureFixture[str]
) -> None:
    one = make(tmp_path / "a", {2: 0.5}, model="m")
    labels = {"labels": LABELS[::-1], "texts": LABELS, "rows": LABELS[:100]}[change]
    dev = "other" if change == "texts" else "abc"
    other = make(tmp_path / "b", {2: 0.5}, model="m", dev=dev, labels=labels)
    code, text = said(one, other, capfd=capfd)
    assert code == 2
    assert "the same dev pairs" in text
    assert "data.dev" in text


def test_what_is_no_study_or_has_no_score_is_a_mistake(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one = make(tmp_path / "a", {2: 0.5}, model="m")
    empty = make(tmp_path / "b", {}, model="m")
    assert said(one, tmp_path / "none", capfd=capfd)[0] == 2
    code, text = said(one, empty, capfd=capfd)
    assert code == 2
    assert "finished run" in text
    assert yaml.safe_load((one / "config.yaml").read_text("utf-8"))["name"] == "a"


@pytest.mark.parametrize("name", ["runs/*/run.json", "runs/*/predictions.npy", "dev_labels.npy"])
@pytest.mark.parametrize("left", [None, 0, 10, 150])
def test_lost_or_cut_file_of_a_study_is_a_mistake_that_names_it(
    tmp_path: Path, name: str, left: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = (make(tmp_path / place, {2: 0.5}, model="m") for place in "ab")
    path = next(other.glob(name))
    content = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(content[:left])
    code, text = said(one, other, capfd=capfd)
    assert code == 2
    assert f"{path.name} is {'missing' if left is None else 'damaged'}" in text
    assert "Traceback" not in text
