"""A merged export: what others load without arguments scores what `predict` scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sentence_transformers import CrossEncoder

from command_line import run
from sweep.export.predicting import predict

LONG = " ".join(["고양이", "먹는다", "바다"] * 60)
PAIRS = [("고양이 먹는다", "강아지 먹는다"), (LONG, LONG), ("cat", LONG), ("바다", "기차 달린다")]


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    path = tmp_path / "쌍.csv"
    pd.DataFrame(PAIRS, columns=["sentence1", "sentence2"]).to_csv(path, index=False)
    return path


@pytest.mark.trains
def test_cross_encoder_gives_the_scores_of_predict_on_their_scale(
    copied_study: Path, pairs_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "합친 모델"
    assert run("export", str(copied_study), "--merge", "--to", str(target), capfd=capfd)[0] == 0
    expected = predict(target, pairs_file, {}, tell=lambda _: None)["prediction"].to_numpy()
    found = CrossEncoder(str(target / "merged"), device="cpu").predict(PAIRS)
    assert found == pytest.approx(expected, abs=1e-5)
    assert run("verify", str(target), capfd=capfd)[0] == 0


@pytest.mark.trains
def test_export_on_another_machine_is_told_where_its_base_lies(
    copied_study: Path,
    tiny_model: Path,
    pairs_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    best = tmp_path / "other machine" / "best"
    shutil.copytree(copied_study / "best", best)
    settings = (best / "config.yaml").read_text(encoding="utf-8")
    assert str(tiny_model) in settings
    lost = settings.replace(str(tiny_model), "/home/누구/models/tiny bert")
    (best / "config.yaml").write_text(lost, encoding="utf-8")
    code, _, err = run("predict", str(best), str(pairs_file), capfd=capfd)
    assert code == 2
    assert "--model" in err
    # A path of another machine says nothing: what it was does.
    assert "BertModel, layers 2" in err
    assert "weights with the SHA-256" in err
    card = (best / "README.md").read_text(encoding="utf-8")
    assert "The base is BertModel" in card
    assert run("verify", str(best), capfd=capfd)[0] == 2
    options = ["--model", str(tiny_model), "--out", str(tmp_path / "out.csv")]
    assert run("predict", str(best), str(pairs_file), *options, capfd=capfd)[0] == 0
    expected = predict(copied_study / "best", pairs_file, {}, tell=lambda _: None)[
        "prediction"
    ].to_numpy()
    scored = pd.read_csv(tmp_path / "out.csv")["prediction"]
    assert np.allclose(scored, expected, atol=1e-4)
    assert run("verify", str(best), "--model", str(tiny_model), capfd=capfd)[0] == 0


@pytest.mark.trains
def test_other_weights_in_the_base_s_place_are_refused(
    copied_study: Path,
    tiny_model: Path,
    pairs_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    best = str(copied_study / "best")
    code, _, err = run("predict", best, str(pairs_file), "--model", str(other), capfd=capfd)
    assert code == 2
    assert "the one that the adapter was trained on" in err


@pytest.mark.trains
def test_export_is_written_where_the_base_lies_elsewhere(
    copied_study: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A base with a name on the Hub is named by that, one without by its folder."""
    there = tmp_path / "다른 곳" / "base"
    shutil.copytree(tiny_model, there)
    target = tmp_path / "best"
    options = ["--model", str(there), "--to", str(target), "--merge"]
    assert run("export", str(copied_study), *options, capfd=capfd)[0] == 0
    settings = json.loads((target / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == str(there)
    own, usual = (
        json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        for folder in (target, copied_study / "best")
    )
    assert own["run_id"] == usual["run_id"]
    # It needs no `--model` any more.
    assert run("verify", str(target), capfd=capfd)[0] == 0
