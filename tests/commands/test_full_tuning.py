"""Full fine-tuning beside a search: trained once, compared fairly, never taken for LoRA's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import pearsonr

from command_line import run, table, tiny_sweep
from sweep.budget.workers import Workers
from sweep.commands.full_tuning import full_plan, train_full
from sweep.config.compose import load_settings
from sweep.export.baselines import update_baselines
from sweep.loop.ports import Halting
from sweep.study.study import Study

pytestmark = pytest.mark.trains

RATES = "baselines.full_rates=[1e-3,5e-3]"


@pytest.fixture
def arguments(
    tiny_model: Path, pair_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [
        *(a for a in tiny_sweep(tiny_model, pair_files)[:-1] if "learning_rate" not in a),
        "name=full",
        f"data.test={pair_files['test']}",
        "search.seeds=[0,1]",
        "search.race=false",
        "search.space={lora.r:[2,4],trainer.learning_rate:[5e-3]}",
        "baselines=all",
        RATES,
    ]


def test_full_fine_tuning_stands_beside_lora_and_is_trained_once(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results" / "full"
    code, out, err = run(*arguments, capfd=capfd)
    assert code == 0, err
    assert "full fine-tuning: 2 learning rates, then the best on 2 seeds" in out
    study = Study.open(folder)
    found = study.baselines
    assert found is not None
    assert [score.kind for score in found.told] == ["full", "head", "cosine"]
    full = found.told[0]
    runs = [folder / "full_tuning" / "runs" / f"{full.config_id}-s{seed}" for seed in (0, 1)]
    assert full.seeds == (0, 1)
    dev = [pearsonr(np.load(r / "predictions.npy"), study.dev_labels).statistic for r in runs]
    assert full.score.value == pytest.approx(np.mean(dev), abs=1e-6)
    assert full.runs == pytest.approx(dev, abs=1e-6)
    assert full.score.ci_low < full.score.value < full.score.ci_high
    assert full.lead is not None
    assert full.lead.value == pytest.approx(found.mean - full.score.value, abs=1e-6)
    assert full.test is not None
    assert full.memory_mb is None or full.memory_mb > 10
    # Weights as large as the base are not kept, and LoRA's adapter is what is handed over.
    assert not list(folder.rglob("full_tuning/runs/*/model"))
    assert json.loads((folder / "best" / "metrics.json").read_text())["lora_params"] > 0
    assert f"full fine-tuning {full.score.value:.4f}" in out
    assert f"full fine-tuning {full.score.value:.4f}" in (folder / "best/README.md").read_text()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("run.json")}
    assert len(before) == 4 + 3
    code, out, _ = run(*arguments, capfd=capfd)
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("run.json")} == before
    assert Study.open(folder).baselines == found


def test_baselines_have_rows_of_their_own_that_no_reader_takes_for_lora(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results" / "full"
    assert run(*arguments, capfd=capfd)[0] == 0
    study = Study.open(folder)
    runs = table(folder, baselines=True)
    own = runs[runs["kind"] == "lora"]
    beside = runs[runs["kind"] == "baseline"]
    assert len(own) == len(study.runs) == 4
    assert beside["config_id"].str.startswith("full-").sum() == 3
    assert {"cosine", "linear_head"} < set(beside["config_id"])
    assert beside["trial"].isna().all()
    assert beside["lora.r"].isna().all()
    in_full = beside[beside["seed"].notna()]
    assert set(in_full["trainer.learning_rate"]) == {1e-3, 5e-3}
    assert (in_full["trained_params"] > own["trained_params"].max()).all()
    board = table(folder, "leaderboard.csv", baselines=True)
    assert board[board["kind"] == "lora"]["rank"].tolist() == [1, 2]
    rest = board[board["kind"] == "baseline"]
    assert rest["rank"].isna().all()
    assert rest["mean"].notna().all()
    assert [row.kind for row in study.leaderboard] == ["lora", "lora"]
    assert {c.config_id for c in study.ranking.contenders} == set(own["config_id"])
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    assert "full-" not in json.dumps([verdict["best"], verdict["tie_set"], verdict["recommended"]])
    code, out, _ = run("status", str(folder), capfd=capfd)
    assert code == 0
    assert "3 of 3 runs of full fine-tuning ended" in out


def test_killed_start_trains_what_is_missing_and_nothing_else(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results" / "full"
    assert run(*arguments, capfd=capfd)[0] == 0
    before = Study.open(folder).baselines
    assert before is not None
    full = before.told[0]
    # As a kill leaves it: the last run has no record, and nothing was said of the whole.
    lost = folder / "full_tuning" / "runs" / f"{full.config_id}-s1"
    shutil.rmtree(lost)
    (folder / "baselines.json").unlink()
    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("run.json")}
    assert run(*arguments, capfd=capfd)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert (lost / "run.json").is_file()
    after = Study.open(folder).baselines
    assert after is not None
    assert after.told[0].score == full.score
    assert after.told[0].test == full.test


def test_sweep_that_is_to_end_begins_no_full_run_and_says_what_is_left(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results" / "full"
    assert run(*arguments, "baselines=none", capfd=capfd)[0] == 0
    settings = load_settings(arguments)[0]
    results = Study.open(folder).results()
    plan = full_plan(settings, results)
    assert plan is not None
    workers = Workers.of(settings.executor, use_cpu=True)
    train_full(
        plan, results, workers, Console(quiet=True), study="full", halt=lambda: Halting.AT_RUNG
    )
    assert plan.waiting(results.full) == 3
    found = update_baselines(results, (), full=plan, threads=1)
    assert found is not None
    assert found.sentences == (
        "Full fine-tuning has no score: 3 of its 3 runs are yet to be trained.",
    )
