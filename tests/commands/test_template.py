"""`data.template`: shown, searched, exported, and the same for those who predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from command_line import BARE, run, table
from odd_models import decoder, write_pairs
from sweep.export.predicting import predict


@pytest.fixture
def sweep(home: Path) -> list[str]:
    """Two ways of reading a pair, of a decoder that pads on the left."""
    files = {split: write_pairs(home / f"{split}.jsonl", 24, 0) for split in ("train", "dev")}
    return [
        f"model.path={decoder(home / 'decoder')}",
        "data=files",
        *(f"data.{split}={path}" for split, path in files.items()),
        "data.max_length=24",
        "data.on_alike=warn",
        "trainer=smoke",
        "trainer.precision=fp32",
        "tracking=disabled",
        "executor=in_process",
        "confirm=none",
        BARE,
        "name=templates",
    ]


@pytest.mark.trains
def test_template_is_searched_exported_and_used_by_predict(
    sweep: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    searched = "search.space={data.template:['w7 {a} w8 {b} w9','{a} w8 {b}']}"
    code, out, err = run(*sweep, searched, capfd=capfd)
    assert code == 0, err
    for template in ("w7 {a} w8 {b} w9", "{a} w8 {b}"):
        assert f"a pair is read as '{template}', which is saved with the tokenizer" in out
    study = home / "results" / "templates"
    best = table(study, "leaderboard.csv").iloc[0]
    tokenizer = AutoTokenizer.from_pretrained(study / "best" / "tokenizer")
    read = tokenizer.decode(tokenizer("w1", "w2")["input_ids"])
    assert read == best["data.template"].format(a="w1", b="w2")
    (run_folder,) = (study / "runs").glob(f"{best['config_id']}-s*")
    found = predict(study / "best", home / "dev.jsonl", {}, tell=lambda _: None)[
        "prediction"
    ].to_numpy()
    assert np.allclose(found, np.load(run_folder / "predictions.npy"), atol=1e-4)
    assert run("verify", str(study / "best"), capfd=capfd)[0] == 0


@pytest.mark.long
def test_template_of_a_shell_is_shown_by_a_plan(
    sweep: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*sweep, "data.template={a} w1 {b}", "mode=plan", capfd=capfd)
    assert code == 0, err
    assert "a pair is read as '{a} w1 {b}', which is saved with the tokenizer" in out


def test_template_without_a_sentence_is_refused(
    sweep: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(*sweep, "data.template={a} and b", capfd=capfd)
    assert code == 2
    assert "`data.template` must have `{a}` and then `{b}`" in err
