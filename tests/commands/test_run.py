"""The program as its users run it: one sweep from the command line to the exported adapter."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from command_line import SPACE, run, table

pytestmark = pytest.mark.trains


def test_sweep_leaves_tables_report_and_a_verified_adapter(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*arguments, capfd=capfd)
    assert (code, err) == (0, "")
    study = home / "results" / "작은_실험"
    rows = table(study)
    assert rows["state"].tolist() == ["complete"] * 4
    assert sorted(zip(rows["lora.r"], rows["lora.target_modules"], strict=True)) == [
        (2, "all-linear"), (2, "qv"), (4, "all-linear"), (4, "qv"),
    ]  # fmt: skip
    board = table(study, "leaderboard.csv")
    assert board["mean"].is_monotonic_decreasing
    assert board["mean"].iloc[0] == rows["pearson"].max()
    assert (study / "report.html").stat().st_size > 10_000
    metrics = json.loads((study / "best" / "metrics.json").read_text(encoding="utf-8"))
    verdict = json.loads((study / "verdict.json").read_text(encoding="utf-8"))
    exported = rows[rows["config_id"] == verdict["recommended"]]
    assert metrics["pearson"] == exported["pearson"].max()
    for part in ("4/4", "verified", "results/작은_실험/table.csv", "python -m sweep predict"):
        assert part in out
    labels = np.load(study / "dev_labels.npy")
    for _, row in rows.iterrows():
        run_dir = study / "runs" / f"{row['config_id']}-s{row['seed']}"
        predictions = np.load(run_dir / "predictions.npy")
        assert np.corrcoef(predictions, labels)[0, 1] == pytest.approx(row["pearson"], abs=1e-9)


def test_printed_commands_can_be_pasted_though_a_folder_has_spaces(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(*arguments, "results_dir=결과 폴더", capfd=capfd)
    study = Path("결과 폴더") / "작은_실험"
    _, exported, _ = run("export", str(study), "--to", "내 모델", capfd=capfd)
    commands = [
        shlex.split(line[line.index("python -m sweep") :])
        for line in (out + exported).splitlines()
        if "python -m sweep" in line
    ]
    assert {"predict", "export"} >= {words[3] for words in commands} >= {"predict"}
    folders = [Path(words[4]).resolve() for words in commands]
    assert (home / study / "best").resolve() in folders
    assert (home / "내 모델").resolve() in folders
    assert all(folder.is_dir() for folder in folders)


def test_one_pack_in_bf16_fills_the_table_and_verifies_in_float32(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["trainer.precision=bf16", "executor.pack_size=4"]
    arguments.remove("trainer.precision=fp32")
    code, out, err = run(*arguments, *options, capfd=capfd)
    assert (code, err) == (0, "")
    assert "in bf16, adapters and head in float32" in out
    rows = table(home / "results" / "작은_실험")
    assert rows["state"].tolist() == ["complete"] * 4
    assert rows["precision"].tolist() == ["bf16"] * 4
    assert rows["pack_size"].tolist() == [4] * 4


def test_order_of_the_grid_changes_no_result(
    home: Path, trained_study: Path, study_arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    turned = ["search.space={lora.target_modules:[all-linear,qv],lora.r:[8,2]}", "name=turned"]
    run(*study_arguments[:-1], *turned, "search.seeds=[0]", capfd=capfd)
    first, second = (
        frame[frame["seed"] == 0].set_index("config_id")["pearson"].sort_index()
        for frame in map(table, (trained_study, home / "results" / "turned"))
    )
    pd.testing.assert_series_equal(first, second, atol=1e-6, rtol=0)


def test_failed_run_is_reported_kept_apart_and_tried_again(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    wild = [a for a in arguments if a != SPACE and "learning_rate" not in a]
    wild.append("search.space={trainer.learning_rate:[5e-3,1e30]}")
    code, out, _ = run(*wild, capfd=capfd)
    assert code == 3
    rows = table(home / "results" / "작은_실험").set_index("state")
    assert pd.isna(rows.loc["failed", "pearson"])
    assert "diverged" in rows.loc["failed", "reason"] or "undefined" in rows.loc["failed", "reason"]
    assert "failed:" in out
    code, out, _ = run(*wild, capfd=capfd)
    assert code == 3
    assert out.count("done before") == 1
    assert len(table(home / "results" / "작은_실험")) == 2


def test_sweep_in_which_nothing_finishes_ends_with_its_own_code(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    hopeless = [*arguments, "search.space={lora.r:[2]}", "trainer.learning_rate=1e30"]
    code, out, _ = run(*hopeless, capfd=capfd)
    assert code == 4
    assert "No run finished" in out
    assert not (home / "results" / "작은_실험" / "best").exists()


def test_several_seeds_are_runs_of_one_config(trained_study: Path) -> None:
    rows, board = table(trained_study), table(trained_study, "leaderboard.csv")
    assert board["n_seeds"].tolist() == [2] * 4
    for config_id, mean in zip(board["config_id"], board["mean"], strict=True):
        runs = rows[rows["config_id"] == config_id]
        assert sorted(runs["seed"]) == [0, 1]
        assert mean == pytest.approx(runs["pearson"].mean())


def test_study_holds_all_that_is_found_out_about_it(trained_study: Path) -> None:
    files = {path.name for path in trained_study.iterdir()}
    assert files >= {
        *("table.csv", "leaderboard.csv", "verdict.json", "config.yaml", "report.html"),
        *("effects.csv", "effects.json", "importance.csv", "rank_use.csv"),
        *("guard.json", "plan.json", "test.json", "best"),
    }


def test_cells_that_are_the_same_training_are_trained_once(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove(SPACE)
    pair = "{lora.lora_alpha:8,lora.use_rslora:false},b:{lora.lora_alpha:4,lora.use_rslora:true}"
    code, out, _ = run(*arguments, "lora.r=4", f"search.space={{x:{{a:{pair}}}}}", capfd=capfd)
    assert code == 0
    assert "1 config (grid), 1 seed each; 1 cell with the training of" in " ".join(out.split())
    assert "1/1" in out
    assert "folded: 1 with the training of an earlier trial (1)" in out
    assert len(table(home / "results" / "작은_실험")) == 1
