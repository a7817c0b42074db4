"""Pruning, halving, confirmation and used-up spaces, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from command_line import SPACE, run, table

pytestmark = [pytest.mark.trains, pytest.mark.long]


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
    exported = search[search["config_id"] == verdict["recommended"]]
    assert metrics["pearson"] == exported["pearson"].max()
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
