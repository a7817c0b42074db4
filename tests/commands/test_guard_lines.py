"""What is known of the pairs is said in the same sentences everywhere, and holds for `predict`."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from command_line import run
from odd_models import decoder, write_pairs
from sweep.core.files import write_text
from sweep.data.findings import Guard
from sweep.export.markdown import prose
from sweep.study.reading import to_json
from sweep.study.study import Study

SPACE = "search.space={lora.r:[2]}"


@pytest.fixture
def given(tmp_path: Path, home: Path) -> list[str]:
    """A decoder, labels from 0 to 1, and pairs of which some are too long."""
    model = decoder(tmp_path / "decoder")
    for seed, split in enumerate(("train", "dev")):
        path = write_pairs(tmp_path / f"{split}.jsonl", 48, seed, longest=20)
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        lines = [json.dumps({**row, "score": row["score"] / 5}) for row in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
    files = [f"data.{split}={tmp_path / split}.jsonl" for split in ("train", "dev")]
    quick = ["trainer=smoke", "trainer.precision=fp32", "trainer.learning_rate=1e-2"]
    quiet = ["tracking=disabled", "executor=in_process", "confirm=none", "name=해독기"]
    return [
        "data=files",
        *files,
        "data.max_length=24",
        f"model.path={model}",
        *quick,
        *quiet,
        SPACE,
    ]


EXPECTED = (
    "no train pair is also in dev or test",
    "labels lie between 0 and 1, 20% of data.label_range=[0,5]",
    "the tokenizer puts nothing between two sentences: '<|im_end|>' is put there",
    "12 of 48 train pairs (25%) are cut to data.max_length=24 tokens; 41 would fit 99% of them",
    "12 of 48 dev pairs (25%) are cut to data.max_length=24 tokens; 41 would fit 99% of them",
)


@pytest.mark.trains
def test_head_plan_file_report_and_card_say_the_same(
    given: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, planned, _ = run(*given, "mode=plan", capfd=capfd)
    assert code == 0
    code, out, _ = run(*given, capfd=capfd)
    assert code == 0
    folder = Path("results/해독기")
    guard = Study.open(folder).guard
    assert guard is not None
    assert len(guard.sentences) == len(EXPECTED)
    report = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    card = (folder / "best" / "README.md").read_text(encoding="utf-8")
    for sentence, expected in zip(guard.sentences, EXPECTED, strict=True):
        assert sentence.startswith(expected)
        for place in (planned, out, report):
            assert sentence in place
        assert prose(sentence) in card
    _check_predict(folder / "best", tmp_path / "dev.jsonl", capfd)
    _check_old_study(given, folder, capfd)


def _check_predict(best: Path, pairs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The same separator and length as in training, also for those who load the export."""
    code, _, err = run("predict", str(best), str(pairs), "--out", "점수.csv", capfd=capfd)
    assert code == 0
    assert "12 of 48 given pairs (25%) are cut to data.max_length=24 tokens" in err
    scored = pd.read_csv("점수.csv")
    tokenizer = AutoTokenizer.from_pretrained(best / "tokenizer")
    settings = yaml.safe_load((best / "config.yaml").read_text(encoding="utf-8"))
    base: Any = AutoModelForSequenceClassification.from_pretrained(
        settings["model"]["path"], num_labels=1, problem_type="regression"
    )
    model = PeftModel.from_pretrained(base, str(best / "adapter")).eval()
    for row in scored.head(8).itertuples():
        pair = tokenizer(
            row.text_a, row.text_b, truncation=True, max_length=24, return_tensors="pt"
        )
        assert 1 in pair["input_ids"][0].tolist()
        with torch.no_grad():
            score = 5 * model(**pair).logits.item()
        assert score == pytest.approx(row.prediction, abs=2e-3)


def _check_old_study(given: list[str], folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One that was begun when nothing was put between the sentences is not gone on with."""
    path = Study.open(folder).files.settings
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["fingerprints"].pop("separator") == "<|im_end|>"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    code, _, err = run(*given, capfd=capfd)
    assert code == 2
    assert "separator" in err


def test_guard_of_an_older_program_still_opens(
    copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = Study.open(copied_study).files
    old = {"on_leak": "warn", "leaking": 0, "dropped": 0, "findings": []}
    write_text(files.guard, json.dumps(old))
    guard = Study.open(copied_study).guard
    assert guard is not None
    assert guard.sentences == ["no train pair is also in dev or test"]
    assert json.loads(to_json(Guard("warn", 0, 0, ()))) == {**old, "unit": "pair"}
    assert run("report", str(copied_study), capfd=capfd)[0] == 0


@pytest.mark.trains
def test_predict_cuts_to_the_positions_of_the_model_and_says_what_is_unknown(
    copied_study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    best = copied_study / "best"
    settings = yaml.safe_load((best / "config.yaml").read_text(encoding="utf-8"))
    settings["data"]["max_length"] = 500
    text = yaml.safe_dump(settings, allow_unicode=True)
    (best / "config.yaml").write_text(f"# @package _global_\n{text}", encoding="utf-8")
    long = " ".join(["고양이"] * 90)
    rows = [(long, "강아지 먹는다"), ("없는 낱말 뿐이다", "하나도 없다"), ("기차", "바다")]
    pd.DataFrame(rows, columns=["sentence1", "sentence2"]).to_csv("긴 문장.csv", index=False)
    code, out, err = run("predict", str(best), "긴 문장.csv", capfd=capfd)
    assert code == 0
    assert len(out.splitlines()) == 4
    assert "1 of 3 given pairs (33%) is cut to data.max_length=64 tokens" in err
    assert "of the words of the given pairs (없는, 낱말, 뿐이다, ...) are unknown" in err
    rows = [("a", "a", score) for score in (1.0, 2.0, 3.0)]
    same = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"])
    same.to_csv("같은.csv", index=False)
    code, _, err = run("predict", str(best), "같은.csv", capfd=capfd)
    assert code == 0
    assert "3 of 3 given pairs have one text twice" in err
    assert "no correlation: the predictions are constant up to rounding" in err


def test_lost_tokenizer_of_an_export_is_named(
    copied_study: Path, pair_files: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    best = copied_study / "best"
    for damage in (lambda path: path.write_bytes(b"{half"), lambda path: path.unlink()):
        damage(best / "tokenizer" / "tokenizer.json")
        code, _, err = run("predict", str(best), str(pair_files["dev"]), capfd=capfd)
        assert code == 2
        assert "tokenizer" in err
        assert "export STUDY" in err
