"""The exported adapter: exported again, verified, merged, used, trained again."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from command_line import run, table
from studies import read_json
from sweep.commands.as_json import Rescored


def test_best_trains_again_to_the_same_score(
    home: Path, copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    best = Path("results/작은_실험/best")
    options = ["executor=in_process", "tracking=disabled"]
    code, _, _ = run(f"+experiment={best / 'config.yaml'}", *options, capfd=capfd)
    assert code == 0
    first = read_json(copied_study / "best" / "metrics.json")["pearson"]
    again = table(home / "results" / "작은_실험_best")["pearson"].tolist()
    assert again == [pytest.approx(first, abs=1e-6)]


def test_an_adapter_that_was_let_go_is_trained_again_on_demand(
    home: Path, copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    worst = table(copied_study).sort_values("pearson").iloc[0]
    run_id = f"{worst['config_id']}-s{worst['seed']}"
    adapter = copied_study / "runs" / run_id / "adapter"
    before = load_file(adapter / "adapter_model.safetensors")
    shutil.rmtree(adapter)
    code, _, err = run("export", str(copied_study), "--run", run_id, capfd=capfd)
    assert code == 2
    way_out = err.split("python -m sweep ")[1].split("\n")[0].rstrip(".")
    code, out, err = run(*shlex.split(way_out), capfd=capfd)
    assert code == 0, err
    assert float(out.split("dev Pearson ")[1].split(",")[0]) == pytest.approx(
        worst["pearson"], abs=1e-5
    )
    after = load_file(adapter / "adapter_model.safetensors")
    assert all(torch.allclose(after[name], before[name], atol=1e-5) for name in before)
    assert not list(copied_study.glob(".again-*"))


def test_export_names_a_run_merges_and_never_overwrites_what_is_not_its_own(
    home: Path, copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study = Path("results/작은_실험")
    worst = table(study).sort_values("pearson").iloc[0]
    target = home / "내 어댑터"
    run_id = f"{worst['config_id']}-s{worst['seed']}"
    named = ["--run", run_id, "--merge", "--to", str(target)]
    code, out, _ = run("export", str(study), *named, capfd=capfd)
    assert code == 0
    shown = float(out.split("dev Pearson ")[1].split(",")[0])
    assert shown == pytest.approx(worst["pearson"], abs=1e-4)
    model = AutoModelForSequenceClassification.from_pretrained(target / "merged").eval()
    tokenizer = AutoTokenizer.from_pretrained(target / "merged")
    base = AutoModelForSequenceClassification.from_pretrained(
        yaml.safe_load((target / "config.yaml").read_text(encoding="utf-8"))["model"]["path"],
        num_labels=1,
        problem_type="regression",
    )
    adapted = PeftModel.from_pretrained(base, str(target / "adapter")).eval()
    batch = tokenizer(["고양이 먹는다"], ["강아지 먹는다"], return_tensors="pt")
    with torch.no_grad():
        # The merged model scores in the units of the labels, from 0 to 5.
        assert torch.allclose(model(**batch).logits, 5 * adapted(**batch).logits, atol=1e-4)
    mine = home / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    code, _, err = run("export", str(study), "--to", str(mine), capfd=capfd)
    assert code == 2
    assert "thesis.txt" in err
    assert (mine / "thesis.txt").read_text() == "precious"
    for wrong in ("zzz", ""):  # no run, and every run
        assert run("export", str(study), "--run", wrong, capfd=capfd)[0] == 2
    assert run("export", "results", capfd=capfd)[0] == 2


def test_predict_scores_pairs_with_and_without_labels(
    home: Path, copied_study: Path, pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    best = "results/작은_실험/best"
    known = read_json(copied_study / "best" / "metrics.json")
    with warnings.catch_warnings():
        # What libraries say to each other would stand on the user's screen.
        warnings.simplefilter("error", FutureWarning)
        code, out, err = run("predict", best, str(pair_files["dev"]), capfd=capfd)
    assert code == 0
    assert f"Pearson {known['pearson']:.4f}" in err
    assert out.splitlines()[0] == "text_a,text_b,label,prediction"
    plain = home / "새 문장.tsv"
    plain.write_text("a\tb\n고양이\t강아지\n", encoding="utf-8")
    columns = ["--text-a", "a", "--text-b", "b", "--out", "점수.csv"]
    code, out, err = run("predict", best, str(plain), *columns, capfd=capfd)
    assert (code, out) == (0, "")
    scored = pd.read_csv("점수.csv")
    assert scored.columns.tolist() == ["text_a", "text_b", "prediction"]
    code, _, err = run("predict", best, str(plain), capfd=capfd)
    assert code == 2
    assert "columns: a, b" in err
    hidden = home / "hidden.csv"
    hidden.write_text("sentence1,sentence2,score\n고양이,강아지,-1\n책,책,-1\n", encoding="utf-8")
    code, out, err = run("predict", best, str(hidden), capfd=capfd)
    assert code == 0
    assert out.splitlines()[0] == "text_a,text_b,prediction"
    assert "labels left out" in err
    assert "hidden test split" in err
    code, _, err = run("predict", best, str(hidden), "--label", "score", capfd=capfd)
    assert code == 2
    assert "hidden test split" in err
    assert run("predict", str(home), str(plain), capfd=capfd)[0] == 2


def test_verify_trains_again_and_compares(
    copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    best = Path("results/작은_실험/best")
    before = {path: path.read_bytes() for path in best.rglob("*") if path.is_file()}
    code, out, _ = run("verify", str(best), "--retrain", capfd=capfd)
    assert code == 0
    assert "trained again" in out
    assert {path: path.read_bytes() for path in best.rglob("*") if path.is_file()} == before
    code, out, _ = run("verify", str(best), "--retrain", "--json", capfd=capfd)
    scores = json.loads(out)
    assert scores["retrained"] == pytest.approx(scores["measured"], abs=1e-4)
    settings = yaml.safe_load((best / "config.yaml").read_text(encoding="utf-8"))
    settings["trainer"]["learning_rate"] *= 3
    (best / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    code, _, err = run("verify", str(best), "--retrain", capfd=capfd)
    assert code != 0
    assert "must agree within" in err


def test_tampered_adapter_does_not_verify(
    copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    best = Path("results/작은_실험/best")
    code, out, _ = run("verify", str(best), "--json", capfd=capfd)
    assert code == 0
    found = json.loads(out)
    assert [*found] == [field.name for field in dataclasses.fields(Rescored)]
    assert found["reloaded"] == pytest.approx(found["measured"], abs=1e-4)
    metrics = read_json(best / "metrics.json")
    metrics["pearson"] += 2e-4
    (best / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    code, _, err = run("verify", str(best), capfd=capfd)
    assert code == 1
    assert "must agree within 0.0001" in err


@pytest.mark.parametrize("left", [None, 0, 100])
def test_lost_or_cut_file_of_an_export_is_a_mistake_that_names_it(
    copied_study: Path, pair_files: dict[str, Path], left: int | None,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    best = Path("results/작은_실험/best")
    for name in ("adapter/adapter_model.safetensors", "adapter/adapter_config.json",
                 "metrics.json", "config.yaml"):  # fmt: skip
        content = (best / name).read_bytes()
        (best / name).unlink()
        if left is not None:
            (best / name).write_bytes(content[:left])
        for verb in ("verify", "predict"):
            if (verb, name) == ("predict", "metrics.json"):
                continue
            pairs = [str(pair_files["dev"])] if verb == "predict" else []
            code, _, err = run(verb, str(best), *pairs, capfd=capfd)
            assert code == 2, (verb, name)
            assert "Traceback" not in err
            assert Path(name).parts[0] in err
        (best / name).write_bytes(content)
    assert run("verify", str(best), capfd=capfd)[0] == 0
