"""The program as its users run it: one sweep from the command line to the exported adapter."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sweep.commands.cli import run_command

SPACE = "search.space={lora.r:[2,4],lora.target_modules:[qv,all-linear]}"


def run(*arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run_command(arguments)
    out, err = capfd.readouterr()
    return code, out, err


def table(study: Path) -> pd.DataFrame:
    return pd.read_csv(study / "table.csv")


def without_costs(frame: pd.DataFrame) -> pd.DataFrame:
    measured = ["train_seconds", "tokens_per_second", "peak_memory_mb", "worker"]
    return frame.drop(columns=measured).sort_values("config_id", ignore_index=True)


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
    board = pd.read_csv(study / "leaderboard.csv")
    assert board["mean"].is_monotonic_decreasing
    assert board["mean"].iloc[0] == rows["pearson"].max()
    assert (study / "report.html").stat().st_size > 10_000
    metrics = json.loads((study / "best" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["pearson"] == rows["pearson"].max()
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
    _, out, _ = run(*arguments, "search.n_trials=1", "results_dir=결과 폴더", capfd=capfd)
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


def test_plan_shows_every_config_with_time_and_memory_and_is_compared_in_the_end(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*arguments, "mode=plan", "executor.workers=2", capfd=capfd)
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert "4 configs (grid), 1 seed each" in words
    assert words.count("all-linear") == 2
    assert "plan 4 runs on 1 workers, about" in words
    assert "cells 0 folded into another, 0 too large" in words
    study = home / "results" / "작은_실험"
    assert [path.name for path in study.iterdir()] == ["plan.json"]
    plan = json.loads((study / "plan.json").read_text(encoding="utf-8"))
    assert (plan["workers"], plan["runs"], len(plan["configs"])) == (1, 4, 4)
    assert all(config["seconds"] > 0 for config in plan["configs"])
    assert all(config["measured_seconds"] is None for config in plan["configs"])
    # It is no setting of the study: the same command without it goes ahead, and again.
    code, out, _ = run(*arguments, capfd=capfd)
    assert code == 0
    assert "planned  the time of a run was off by" in out
    plan = json.loads((study / "plan.json").read_text(encoding="utf-8"))
    rows = table(study).set_index("config_id")
    for config in plan["configs"]:
        assert config["measured_seconds"] == rows.loc[config["config_id"], "train_seconds"]
        assert config["lora_params"] == rows.loc[config["config_id"], "lora_params"]
        assert config["head_params"] == rows.loc[config["config_id"], "head_params"]
    assert plan["mean_absolute_error"]["seconds"] > 0
    for asked, runs in (3, 3), (9, 4):
        drawn = [*arguments, "mode=plan", "search=random", f"search.n_trials={asked}"]
        code, out, _ = run(*drawn, capfd=capfd)
        assert code == 0
        assert f"plan {runs} runs" in " ".join(out.split())


def test_space_that_is_used_up_goes_on_with_fresh_seeds_if_asked(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments += ["search=random", "search.n_trials=12", "name=used"]
    code, out, _ = run(*arguments, capfd=capfd)
    assert code == 0
    assert "used up: all 4 points" in out
    assert "search.when_used_up=seeds" in out
    rows = table(home / "results" / "used")
    assert rows["seed"].tolist() == [0] * 4
    code, out, _ = run(*arguments, "search.when_used_up=seeds", capfd=capfd)
    assert code == 0
    assert "confirming 2 configs, 4 fresh seeds each" in out
    rows = table(home / "results" / "used")
    seeds = rows.groupby("config_id")["seed"].apply(sorted).tolist()
    assert sorted(seeds) == [[0], [0], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert (rows["state"] == "complete").all()


def test_plan_says_what_trains_alone_and_a_sweep_never_mixes_precisions(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove(SPACE)
    both = "search.space={lora.use_dora:[true,false]}"
    code, out, _ = run(*arguments, both, "executor.pack_size=2", capfd=capfd)
    assert code == 0
    assert "1 of 2 alone (DoRA)" in " ".join(out.split())
    assert table(home / "results" / "작은_실험")["pack_size"].tolist() == [1, 1]
    arguments.remove("trainer.precision=fp32")
    mixed = "search.space={trainer.precision:[fp32,bf16]}"
    assert run(*arguments, mixed, "name=b", capfd=capfd)[0] == 2
    biased = ["trainer.precision=bf16", "lora.bias=all", "name=c"]
    code, _, err = run(*arguments, *biased, capfd=capfd)
    assert code == 2
    assert "lora.bias=none" in err
    assert not (home / "results" / "c").exists()


def test_second_start_trains_nothing_and_ends_the_same(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    run(*arguments, capfd=capfd)
    study = home / "results" / "작은_실험"
    before = (study / "table.csv").read_text(encoding="utf-8")
    stamps = {p: p.stat().st_mtime_ns for p in study.glob("runs/*/run.json")}
    code, out, _ = run(*arguments, capfd=capfd)
    assert code == 0
    assert out.count("done before") == 4
    assert (study / "table.csv").read_text(encoding="utf-8") == before
    assert {p: p.stat().st_mtime_ns for p in study.glob("runs/*/run.json")} == stamps


def test_changed_setting_is_refused_and_extend_adds_the_new_cells(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    run(*arguments, capfd=capfd)
    code, _, err = run(*arguments, "trainer.learning_rate=1e-3", capfd=capfd)
    assert code == 2
    for part in ("trainer.learning_rate", "0.005", "0.001", "resume=restart"):
        assert part in err
    grown = [a for a in arguments if a != SPACE]
    grown.append("search.space={lora.r:[2,4,8],lora.target_modules:[qv,all-linear]}")
    assert run(*grown, capfd=capfd)[0] == 2
    code, out, _ = run(*grown, "resume=extend", capfd=capfd)
    assert code == 0
    assert out.count("done before") == 4
    rows = table(home / "results" / "작은_실험")
    assert len(rows) == 6
    assert rows["state"].tolist() == ["complete"] * 6


def test_changed_data_under_the_same_name_is_noticed(
    home: Path, arguments: list[str], pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    copy = home / "dev.csv"
    shutil.copy(pair_files["dev"], copy)
    arguments = [*arguments, f"data.dev={copy}", "search.space={lora.r:[2]}"]
    assert run(*arguments, capfd=capfd)[0] == 0
    frame = pd.read_csv(copy)
    frame.loc[0, "score"] = 0.0 if frame.loc[0, "score"] else 5.0
    frame.to_csv(copy, index=False)
    code, _, err = run(*arguments, capfd=capfd)
    assert code == 2
    assert "fingerprints.dev" in err


def test_order_of_the_grid_changes_no_result(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    run(*arguments, capfd=capfd)
    turned = [a for a in arguments if a != SPACE]
    turned += ["search.space={lora.target_modules:[all-linear,qv],lora.r:[4,2]}", "name=turned"]
    run(*turned, capfd=capfd)
    first, second = (
        table(home / "results" / name).set_index("config_id")["pearson"].sort_index()
        for name in ("작은_실험", "turned")
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


def test_several_seeds_are_runs_of_one_config(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, _ = run(*arguments, "search.space={lora.r:[2]}", "search.seeds=[0,1]", capfd=capfd)
    assert code == 0
    study = home / "results" / "작은_실험"
    rows, board = table(study), pd.read_csv(study / "leaderboard.csv")
    assert rows["seed"].tolist() == [0, 1]
    assert board["n_seeds"].tolist() == [2]
    assert board["mean"].iloc[0] == pytest.approx(rows["pearson"].mean())


def test_pool_is_halved_and_its_leaders_are_confirmed_on_fresh_seeds(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove(SPACE)
    arguments = [argument for argument in arguments if not argument.startswith("confirm=")]
    options = [
        *("search=random", "search.n_trials=9", "search.pruner=halving", "search.audit=0"),
        *("trainer.max_steps=6", "trainer.eval_steps=1", "confirm.top=2", "confirm.seeds=2"),
        "search.space={trainer.weight_decay:{low:0.0,high:0.1}}",
    ]
    code, out, _ = run(*arguments, *options, capfd=capfd)
    assert code == 0
    study = home / "results" / "작은_실험"
    rows = table(study)
    searched = rows[rows["seed"] == 0]
    assert sorted(searched.loc[searched["state"] == "pruned", "steps"]) == [1] * 6 + [3] * 2
    assert (searched["state"] == "complete").sum() == 1
    assert rows.loc[rows["seed"] != 0, "seed"].tolist() == [1, 2]
    assert "confirming 1 config, 2 fresh seeds each" in out
    assert not list(study.glob("runs/*/rung.pt"))
    code, out, _ = run(*arguments, *options, capfd=capfd)
    assert code == 0
    assert "started" not in out


def test_sweep_killed_while_it_confirms_still_hands_out_what_the_search_found(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [argument for argument in arguments if not argument.startswith("confirm=")]
    arguments += ["confirm.top=2", "confirm.seeds=3", "confirm.share=2", "executor.pack_size=4"]
    code, whole, _ = run(*arguments, capfd=capfd)
    assert code == 0
    study = home / "results" / "작은_실험"
    rows = table(study).set_index("seed")
    search, fresh = rows.loc[[0]], rows.loc[[1, 2, 3]]
    weakest = fresh.groupby("config_id")["pearson"].mean().idxmin()
    # As a kill leaves it: of the confirmation, one run of its weakest config is done.
    for seed, config_id in fresh["config_id"].items():
        if (seed, config_id) != (1, weakest):
            shutil.rmtree(study / "runs" / f"{config_id}-s{seed}")
    num_fresh = len(fresh)
    assert run("report", str(study), capfd=capfd)[0] == 0
    best = search.sort_values("pearson")["config_id"].iloc[-1]
    verdict = json.loads((study / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["best"] == best
    assert not verdict["confirmed"]
    assert f"not confirmed (1 of {num_fresh} runs are done)" in verdict["sentences"][-1]
    assert run("export", str(study), capfd=capfd)[0] == 0
    metrics = json.loads((study / "best" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["pearson"] == search["pearson"].max()
    code, out, _ = run(*arguments, capfd=capfd)
    assert code == 0
    assert out.count("started") == num_fresh - 1
    verdicts = [text[text.index("# Pearson") :].partition("best  ")[0] for text in (whole, out)]
    assert verdicts[0].split()[:20] == verdicts[1].split()[:20]


def test_pruned_sweep_says_what_was_saved_and_goes_on_without_training(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove(SPACE)
    options = [
        *("search=random", "search.n_trials=12", "search.pruner=percentile"),
        *("trainer.max_steps=12", "trainer.eval_steps=2"),
        "search.space={lora.r:{low:1,high:16}}",
        # One after the other, so that most of them are judged by those before.
        "executor.pack_size=1",
    ]
    code, out, _ = run(*arguments, *options, capfd=capfd)
    assert code == 0
    rows = table(home / "results" / "작은_실험")
    pruned = rows[rows["state"] == "pruned"]
    assert len(pruned) >= 2
    assert pruned["pearson"].isna().all()
    assert (pruned["steps"] < 12).all()
    assert pruned["reason"].str.startswith("pruned at step").all()
    assert f"pruned   {len(pruned)} of {len(rows)} runs" in out
    assert "audit " in out
    code, out, _ = run(*arguments, *options, capfd=capfd)
    assert code == 0
    assert "started" not in out
    assert len(table(home / "results" / "작은_실험")) == len(rows)


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


def test_best_trains_again_to_the_same_score(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    # Company in a pack changes the last digits.
    run(*arguments, "executor.pack_size=1", capfd=capfd)
    best = Path("results/작은_실험/best")
    again = ["executor=in_process", "tracking=disabled"]
    code, _, _ = run(f"+experiment={best / 'config.yaml'}", *again, capfd=capfd)
    assert code == 0
    rows = table(home / "results" / "작은_실험_best")
    assert rows["pearson"].tolist() == [
        pytest.approx(table(home / "results" / "작은_실험")["pearson"].max(), abs=1e-6)
    ]


def test_export_names_a_run_merges_and_never_overwrites_what_is_not_its_own(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    run(*arguments, capfd=capfd)
    study = Path("results/작은_실험")
    worst = table(study).sort_values("pearson").iloc[0]
    target = home / "내 어댑터"
    named = ["--run", worst["config_id"], "--merge", "--to", str(target)]
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
        assert torch.allclose(model(**batch).logits, adapted(**batch).logits, atol=1e-5)
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
    home: Path, arguments: list[str], pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run(*arguments, "search.space={lora.r:[2]}", capfd=capfd)
    best = "results/작은_실험/best"
    with warnings.catch_warnings():
        # What libraries say to each other would stand on the user's screen.
        warnings.simplefilter("error", FutureWarning)
        code, out, err = run("predict", best, str(pair_files["dev"]), capfd=capfd)
    assert code == 0
    assert f"Pearson {table(home / 'results' / '작은_실험')['pearson'][0]:.4f}" in err
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


def test_tampered_adapter_does_not_verify(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    run(*arguments, capfd=capfd)
    best = Path("results/작은_실험/best")
    assert run("verify", str(best), capfd=capfd)[0] == 0
    metrics = json.loads((best / "metrics.json").read_text(encoding="utf-8"))
    metrics["pearson"] += 2e-4
    (best / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    code, _, err = run("verify", str(best), capfd=capfd)
    assert code == 1
    assert "must agree within 0.0001" in err


@pytest.mark.parametrize("left", [None, 0, 100])
def test_lost_or_cut_file_of_an_export_is_a_mistake_that_names_it(
    home: Path, arguments: list[str], pair_files: dict[str, Path], left: int | None,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run(*arguments, "search.space={lora.r:[2]}", capfd=capfd)
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


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_damaged_search_is_a_mistake_whose_way_out_trains_nothing_again(
    home: Path, arguments: list[str], sampler: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments += [f"search.sampler={sampler}", "search.n_trials=3"]
    assert run(*arguments, capfd=capfd)[0] == 0
    study = home / "results" / "작은_실험"
    before = without_costs(table(study))
    trained = {p: p.stat().st_mtime_ns for p in study.glob("runs/*/predictions.npy")}
    database = study / "study.db"
    content = database.read_bytes()
    for damaged in (b"no database", content[:3000], content[: len(content) // 2]):
        database.write_bytes(damaged)
        code, _, err = run(*arguments, capfd=capfd)
        assert code == 2
        assert "study.db" in err
        assert "Traceback" not in err
        assert database.read_bytes() == damaged
    database.rename(study / "study.db.damaged")
    assert run(*arguments, capfd=capfd)[0] == 0
    assert trained == {p: p.stat().st_mtime_ns for p in study.glob("runs/*/predictions.npy")}
    pd.testing.assert_frame_equal(without_costs(table(study)), before)


def test_place_that_can_not_be_written_to_is_a_mistake_that_names_it(
    home: Path, arguments: list[str], pair_files: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "파일").write_text("a file, no folder")
    for override in ("results_dir=파일", "results_dir=파일/안", f"name={'가' * 300}"):
        code, _, err = run(*arguments, override, capfd=capfd)
        assert code == 2
        assert "can be written" in err
        assert "Traceback" not in err
    run(*arguments, "search.space={lora.r:[2]}", capfd=capfd)
    pairs = ["results/작은_실험/best", str(pair_files["dev"])]
    code, _, err = run("predict", *pairs, "--out", "파일/점수.csv", capfd=capfd)
    assert code == 1
    assert "파일" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.space={lora.target_modules:[qv,[query,valeu]]}", "valeu"),
        ("search.space={lora.lora_alpha:[8]} lora.r=64", "64"),
        ("search.space={lora.r:[2,64]}", "64"),
        ("data.text_a=문장", "sentence1, sentence2, score"),
        ("data.label=sentence1", "data row 1"),
        ("data.dev=none.csv", "must exist"),
        ("model.path=no/such-model", "must be a local folder"),
        ("model.path=.", "config.json"),
        ("tracking.mode=online", "key"),
    ],
)
def test_mistake_ends_with_code_2_before_anything_is_made(
    home: Path, arguments: list[str], override: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(*arguments, *override.split(), capfd=capfd)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert len(err.splitlines()) < 12
    assert not (home / "results").exists()


def test_help_lists_the_verbs_and_a_wrong_flag_is_a_mistake(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        run_command(["--help"])
    out, _ = capfd.readouterr()
    assert left.value.code == 0
    for verb in ("export", "predict", "verify", "report"):
        assert verb in out
    with pytest.raises(SystemExit) as left:
        run_command(["--no-such-flag"])
    assert left.value.code == 2


def test_cfg_prints_what_would_be_used(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("--cfg", "+experiment=lora_grid", "lora.r=5", capfd=capfd)
    assert code == 0
    assert yaml.safe_load(out)["lora"]["r"] == 5
    assert not (home / "results").exists()


#: Processes of the test under way.
_STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_process_outlives_its_test() -> Iterator[None]:
    """A test that fails would leave a sweep behind, which slows all that follow."""
    yield
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _STARTED.append(process)
    return process


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def going_with_a_score(study: Path) -> bool:
    rows = table(study)
    return bool(rows.loc[rows["state"] == "running", "pearson_last"].notna().any())


def num_done(folder: Path) -> int:
    return len(list((folder / "results").glob("*/runs/*/run.json")))


@pytest.mark.parametrize("kill_at", [0, 2])
def test_killed_sweep_finishes_the_rest_to_the_unbroken_result(
    tmp_path: Path, arguments: list[str], kill_at: int
) -> None:
    in_processes = [a for a in arguments if a != "executor=in_process"]
    in_processes += ["executor=processes", "executor.workers=2", "trainer.max_steps=40"]
    # Who shares a pack after the restart would change the last digits.
    in_processes += ["executor.pack_size=1"]
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    for folder in (broken, unbroken):
        folder.mkdir()
    process = start(in_processes, broken)
    runs = broken / "results" / "작은_실험" / "runs"
    wait_for(lambda: num_done(broken) >= kill_at and runs.is_dir(), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    finished = {p: p.stat().st_mtime_ns for p in runs.glob("*/run.json")}
    again = start(in_processes, broken)
    out, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert out.count("done before") == len(finished)
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    whole = start(in_processes, unbroken)
    assert whole.wait(timeout=240) == 0
    whole.communicate()
    tables = [without_costs(table(f / "results" / "작은_실험")) for f in (broken, unbroken)]
    assert tables[0]["state"].tolist() == ["complete"] * 4
    pd.testing.assert_frame_equal(*tables, atol=1e-6, rtol=0)


def test_status_and_stop_from_another_terminal(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    study = home / "results" / "작은_실험"
    assert run("status", str(study), capfd=capfd)[0] == 2
    arguments.remove("executor=in_process")
    arguments += ["executor.workers=1", "trainer.max_steps=4000", "trainer.eval_steps=50"]
    arguments += ["executor.pack_size=1"]
    process = start(arguments, home)
    wait_for(lambda: list(study.glob("runs/*/rung.pt")) != [], process)
    # The table follows about a second behind.
    wait_for(lambda: going_with_a_score(study), process)
    code, out, _ = run("status", str(study), capfd=capfd)
    assert code == 0
    assert f"driven by process {process.pid} on" in out
    assert "1 running" in out
    assert re.search(r"going  trial \d+ \w+-s0  dev -?0\.\d{4} at step \d+", out)
    # A second driver says whose study it is, and leaves.
    code, _, err = run(*arguments, capfd=capfd)
    assert code == 2
    assert f"is driven by process {process.pid} on" in err
    assert run("stop", str(study), "--run", "zz", capfd=capfd)[0] == 2
    going = table(study)
    config = going[going["state"] == "running"]["config_id"].iloc[0]
    code, out, _ = run("stop", str(study), "--run", config[:8], capfd=capfd)
    assert code == 0
    wait_for(lambda: "pruned" in set(table(study)["state"]), process)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=60)
    assert process.returncode == 130
    # Workers that are stopped in the middle of a run leave nothing behind.
    assert not any("leaked" in text for text in printed)
    rows = table(study)
    stopped = rows[rows["config_id"] == config].iloc[0]
    assert (stopped["state"], stopped["reason"]) == ("pruned", "stopped by hand")
    assert "no driver is at work" in run("status", str(study), capfd=capfd)[1]


@pytest.mark.parametrize("twice", [False, True])
def test_interrupted_workers_stop_at_their_rung_or_at_once_and_say_how_to_go_on(
    tmp_path: Path, arguments: list[str], twice: bool
) -> None:
    slow = [a for a in arguments if a != "executor=in_process"]
    slow += ["executor.workers=2", "trainer.max_steps=30000"]
    slow += ["resume=restart" if twice else "+resume='restart'"]
    slow += [f"trainer.eval_steps={20000 if twice else 100}"]
    study = tmp_path / "results" / "작은_실험"
    process = start(slow, tmp_path)
    wait_for(lambda: "running" in states(study), process)
    # The whole process group, as a terminal does.
    os.killpg(process.pid, signal.SIGINT)
    if twice:
        assert process.stdout is not None
        assert any("Ctrl-C again stops at once" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "to go on:\n  python -m sweep" in out
    # It would move aside what it promises to go on with.
    assert "resume" not in out
    assert states(study) == {"queued"}
    assert bool(list(study.glob("runs/*/rung.pt"))) != twice


def test_sigterm_to_the_whole_group_ends_within_ten_seconds(
    tmp_path: Path, arguments: list[str]
) -> None:
    slow = [a for a in arguments if a != "executor=in_process"]
    slow += ["executor.workers=1", "trainer.max_steps=90000", "trainer.eval_steps=80000"]
    process = start(slow, tmp_path)
    wait_for(lambda: "running" in states(tmp_path / "results" / "작은_실험"), process)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 143
    assert "Traceback" not in err
    assert "to go on:\n  python -m sweep" in out
    assert states(tmp_path / "results" / "작은_실험") == {"queued"}


def states(study: Path) -> set[str]:
    path = study / "table.csv"
    return set(pd.read_csv(path)["state"]) if path.is_file() else set()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_goes_on_from_its_rung_to_the_unbroken_score(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str],
    number: signal.Signals, code: int,
) -> None:  # fmt: skip
    study = home / "results" / "작은_실험"
    arguments += ["trainer.max_steps=60", "trainer.eval_steps=10", "search.space={lora.r:[2]}"]
    with when(lambda: list(study.glob("runs/*/rung.pt")) != [], lambda: send(number)):
        ended, out, err = run(*arguments, capfd=capfd)
    assert (ended, err) == (code, "")
    assert "waits " in out
    assert states(study) == {"queued"}
    (rung,) = study.glob("runs/*/rung.pt")
    step = torch.load(rung, weights_only=True)["step"]
    assert f"at step {step}" in out
    assert run(*arguments, capfd=capfd)[0] == 0
    assert run(*arguments, "name=whole", capfd=capfd)[0] == 0
    tables = [without_costs(table(study.with_name(n))) for n in (study.name, "whole")]
    pd.testing.assert_frame_equal(*tables)


def test_time_limit_saves_what_is_under_way_and_a_larger_one_goes_on(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    study = home / "results" / "작은_실험"
    assert run(*arguments, "search.timeout_min=1e-9", capfd=capfd)[0] == 4
    assert not states(study)
    smaller = "search.space={lora.r:[2],lora.target_modules:[qv]}"
    assert run(*arguments, smaller, "resume=extend", capfd=capfd)[0] == 0
    again = [*arguments, "resume=extend"]
    code, out, _ = run(*again, "search.timeout_min=1e-9", capfd=capfd)
    assert code == 0
    assert "The time limit of 1e-09 min is over" in out
    assert "1 of 4 runs are done" in out
    code, out, _ = run(*again, "search.timeout_min=10", capfd=capfd)
    assert code == 0
    assert "time limit" not in out
    assert table(study)["state"].tolist() == ["complete"] * 4


def test_config_added_to_a_stopped_study_is_trained_at_its_next_start(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove(SPACE)
    arguments += ["search=random", "search.n_trials=1"]
    arguments += ["search.space={lora.r:{low:1,high:8},lora.target_modules:[qv,mlp]}"]
    study = "results/작은_실험"
    assert run("add", study, "lora.r=3", capfd=capfd)[0] == 2
    assert run(*arguments, capfd=capfd)[0] == 0
    code, _, err = run("add", study, "lora.target_modules=all-linear", capfd=capfd)
    assert code == 2
    assert "one of: qv, mlp" in err
    for wrong in ("lora.r", "lora.r=[", "lora.r=[1, 2]", "lora.r={a: 1}", "lora.r=", "lora.r=a"):
        assert run("add", study, wrong, "lora.target_modules=qv", capfd=capfd)[0] == 2, wrong
    code, out, _ = run("add", study, "lora.r=3", "lora.target_modules=mlp", capfd=capfd)
    assert code == 0
    assert "lora.r=3 lora.target_modules=mlp is the first at the next start" in " ".join(
        out.split()
    )
    assert "added  1 config" in run("status", study, capfd=capfd)[1]
    assert run(*arguments, capfd=capfd)[0] == 0
    rows = table(Path(study))
    assert rows["state"].tolist() == ["complete"] * 2
    assert rows.loc[1, ["lora.r", "lora.target_modules"]].tolist() == [3, "mlp"]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@contextmanager
def when(condition: Callable[[], bool], action: Callable[[], None]) -> Iterator[None]:
    """Do something, once, as soon as a condition holds, while the block runs."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            if condition():
                action()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
