"""Records and tables: columns, types, liveness, what a crash leaves."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recorded import LABELS, finish, open_results, outcome, run_of
from sweep.loop.trial import Evaluated, Evaluation, Finished, Outcome, RunState, Started

FIRST_COLUMNS = (
    "trial,config_id,seed,state,reason,pearson,pearson_last,best_step,spearman,"
    "lora.r,lora.target_modules,scaling,precision,adapted_modules,lora_params,head_params,train_seconds,"
    "steps,tokens_per_second,peak_memory_mb,pack_size,worker,wandb_url,kind,trained_params,"
    "base_memory_mb"
)


def test_table_has_the_contract_s_columns_in_order(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    finish(results, run_of(0, 8), outcome(0.8))
    results.close()
    assert (tmp_path / "table.csv").read_text().splitlines()[0] == FIRST_COLUMNS


def test_values_keep_their_types_and_missing_is_empty(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    finish(results, run_of(0, 8), outcome(0.8))
    failed = run_of(1, 16)
    results.add(failed)
    results.handle(Finished(failed.id, Outcome(RunState.FAILED, reason="diverged, badly")))
    results.close()
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["lora.r"] == "8"
    assert rows[0]["best_step"] == "10"
    assert rows[0]["lora.target_modules"] == "query+value"
    assert (rows[1]["state"], rows[1]["reason"]) == ("failed", "diverged, badly")
    assert all(rows[1][c] == "" for c in ("pearson", "best_step", "steps", "lora_params"))


def test_running_run_is_seen_with_its_last_score_and_no_best(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    run = run_of(0, 8)
    results.add(run)
    results.handle(Started(run.id, "worker-1"))
    results.handle(Evaluated(run.id, Evaluation(5, 0.5, 0.7, 0.7, 0.2)))
    row = results.table().iloc[0]
    assert row["state"] == "running"
    assert row["pearson_last"] == 0.7
    assert row["worker"] == "worker-1"
    assert pd.isna(row["pearson"])


def test_nothing_is_left_running_when_the_sweep_closes(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    run = run_of(0, 8)
    results.add(run)
    results.handle(Started(run.id, "w"))
    results.close()
    assert pd.read_csv(tmp_path / "table.csv")["state"].tolist() == ["queued"]


def test_finished_runs_are_known_on_the_next_start_and_failed_ones_are_not_done(
    tmp_path: Path,
) -> None:
    results = open_results(tmp_path)
    run, failed = run_of(0, 8), run_of(1, 16)
    finish(results, run, outcome(0.8))
    results.add(failed)
    results.handle(Finished(failed.id, Outcome(RunState.FAILED, reason="x")))
    again = open_results(tmp_path)
    assert again.done(run.id) == outcome(0.8)
    assert again.done(failed.id) is None
    assert again.finished() == [(run, outcome(0.8))]
    assert again.table()["state"].tolist() == ["complete", "failed"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"trial": 1}'])
def test_unreadable_record_counts_as_not_done(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    results = open_results(tmp_path)
    run = run_of(0, 8)
    finish(results, run, outcome(0.8))
    (tmp_path / "runs" / run.id / "run.json").write_text(content)
    assert open_results(tmp_path).done(run.id) is None
    assert "trained again" in caplog.text


@pytest.mark.parametrize("left", [None, 0, 10, 150])
def test_lost_or_cut_predictions_cost_the_intervals_and_not_the_tables(
    tmp_path: Path, left: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "dev_labels.npy", LABELS)
    results = open_results(tmp_path)
    for trial, rank in enumerate((8, 16)):
        finish(results, run_of(trial, rank), outcome(0.8))
    assert results.leaderboard()["ci_low"].notna().all()
    path = tmp_path / "runs" / run_of(0, 8).id / "predictions.npy"
    content = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(content[:left])
    again = open_results(tmp_path)
    assert again.leaderboard()["mean"].tolist() == [0.8, 0.8]
    assert again.leaderboard()["ci_low"].isna().all()
    assert f"{path} is" in caplog.text


def test_record_holds_recipe_rungs_reason_and_versions(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    run = run_of(0, 8)
    finish(results, run, outcome(0.8))
    content = json.loads((tmp_path / "runs" / run.id / "run.json").read_text(encoding="utf-8"))
    assert content["recipe"]["lora"]["r"] == 8
    assert content["outcome"]["evaluations"][0]["step"] == 10
    assert content["versions"] == {"sweep": "0"}


def test_study_without_a_score_has_empty_tables(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    results.close()
    assert results.best_run() is None
    assert len(pd.read_csv(tmp_path / "leaderboard.csv")) == 0


def test_long_study_does_not_write_its_tables_at_every_event(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    results.add(run_of(0, 8))
    stamp = (tmp_path / "table.csv").stat().st_mtime_ns
    for trial in range(1, 20):
        results.add(run_of(trial, 8 + trial))
    assert (tmp_path / "table.csv").stat().st_mtime_ns == stamp
    results.close()
    assert len(pd.read_csv(tmp_path / "table.csv")) == 20
