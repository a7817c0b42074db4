"""A study of bi-encoders, from the command line to what `SentenceTransformer` loads."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sentence_transformers import SentenceTransformer

from command_line import run, table, tiny_sweep
from sweep.commands.cli import run_command
from sweep.export.predicting import predict

LONG = " ".join(["고양이", "먹는다", "바다"] * 60)
PAIRS = [("고양이 먹는다", "강아지 먹는다"), (LONG, "책"), ("cat", LONG), ("바다", "기차 달린다")]
PREFIX = "sea: "

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def encoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in a folder of its own kind: e5's name is all that tells its prefix."""
    folder = tmp_path_factory.mktemp("models") / "작은-e5-model"
    shutil.copytree(tiny_model, folder)
    (folder / "1_Pooling").mkdir()
    content = {"word_embedding_dimension": 32, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def sweep_of(encoder: Path, pair_files: dict[str, Path]) -> list[str]:
    common = [a for a in tiny_sweep(encoder, pair_files) if not a.startswith("search.space")]
    return [*common, f"data.test={pair_files['test']}", "data.max_length=9", "baselines=none"]


@pytest.fixture(scope="module")
def exported(sweep_of: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a bi-encoder, merged."""
    home = tmp_path_factory.mktemp("home")
    with chdir(home):
        assert run_command([*sweep_of, "task.encoder=bi", "search.space={lora.r:[2]}"]) == 0
        assert run_command(["export", "results/작은_실험", "--merge", "--to", "합친"]) == 0
    return home / "합친"


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    path = tmp_path / "쌍.csv"
    pd.DataFrame(PAIRS, columns=["sentence1", "sentence2"]).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("part", ["adapter", "merged"])
def test_its_own_library_gives_the_scores_of_predict(
    part: str, exported: Path, pairs_file: Path
) -> None:
    said: list[str] = []
    expected = predict(exported, pairs_file, {}, tell=said.append)["prediction"].to_numpy()
    assert said == [
        "2 of 8 given sentences (25%) are cut to data.max_length=9 tokens; "
        "184 would fit 99% of them"
    ]
    model = SentenceTransformer(str(exported / part), device="cpu")
    assert (model.max_seq_length, model.prompts["query"]) == (9, "query: ")
    first, second = (model.encode(list(side)) for side in zip(*PAIRS, strict=True))
    cosine = model.similarity_pairwise(first, second)
    assert (5 * cosine).tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_lines_of_the_card_score_as_predict_does(
    exported: Path, pairs_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert 'largest of the tokens, prefix "query: "' in card
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    names: dict[str, Any] = {}
    with chdir(exported):
        exec(compile(code, "README.md", "exec"), names)
    assert len(re.findall(r"-?\d+\.\d+", capfd.readouterr().out)) == 2
    expected = predict(exported, pairs_file, {}, tell=lambda _: None)["prediction"].to_numpy()
    assert names["score"](PAIRS) == pytest.approx(expected.tolist(), abs=1e-5)


def test_export_keeps_pooling_and_prefix_where_the_base_lies_elsewhere(
    exported: Path,
    tiny_model: Path,
    pairs_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The same weights in a folder whose name and files say nothing."""
    expected = predict(exported, pairs_file, {}, tell=lambda _: None)["prediction"].to_numpy()
    out = tmp_path / "out.csv"
    options = ["--model", str(tiny_model), "--out", str(out)]
    assert run("predict", str(exported), str(pairs_file), *options, capfd=capfd)[0] == 0
    # The file has four decimals.
    assert pd.read_csv(out)["prediction"].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert run("verify", str(exported), "--model", str(tiny_model), capfd=capfd)[0] == 0


def test_export_that_has_lost_its_pooling_is_refused(
    exported: Path, pairs_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    (copy / "adapter" / "1_Pooling" / "config.json").unlink()
    code, _, err = run("predict", str(copy), str(pairs_file), capfd=capfd)
    assert code == 2
    assert "how its sentences are pooled" in err


def test_exported_settings_train_a_bi_encoder_again(exported: Path) -> None:
    settings = yaml.safe_load((exported / "config.yaml").read_text(encoding="utf-8"))
    assert settings["task"].items() >= {"encoder": "bi", "loss": "mse"}.items()


def test_search_over_encoders_is_planned_trained_and_judged(
    sweep_of: list[str], encoder: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    both = [*sweep_of, "search.space={task.encoder:[cross,bi]}", "search.seeds=[0,1]", "lora.r=2"]
    code, out, _ = run(*both, "mode=plan", capfd=capfd)
    assert code == 0
    assert "encoder" in out
    code, out, err = run(*both, capfd=capfd)
    assert code == 0, err
    rows = table(home / "results" / "작은_실험")
    assert set(rows["state"]) == {"complete"}
    assert rows.groupby("task.encoder")["head_params"].max().to_dict() == {"bi": 0, "cross": 33}
    assert set(rows["pack_size"]) == {1}
    said = " ".join(out.split())
    assert re.search(r"encoder=bi beats the default \(encoder=cross\) by \+\d\.\d+ \(95 %", said)
    assert "whose cosine can be trained" not in said


def test_study_of_cross_encoders_on_a_sentence_encoder_says_what_else_there_is(
    sweep_of: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(*sweep_of, "lora.r=2", capfd=capfd)
    assert code == 0
    assert out.count("is a sentence encoder, whose cosine can be trained: python -m sweep") == 1
    (line,) = [line for line in out.splitlines() if line.startswith("encoder")]
    assert line.count("name=") == 1
    assert line.endswith("task.encoder=bi 'name=작은_실험_bi'")
