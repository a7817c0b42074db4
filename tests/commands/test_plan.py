"""What `mode=plan` says before anything is trained, and what became of it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from command_line import SPACE, run, table
from sweep.commands.as_json import Planned
from sweep.config.compose import load_settings

pytestmark = [pytest.mark.trains, pytest.mark.long]


def test_plan_shows_every_config_with_time_and_memory(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*arguments, "mode=plan", capfd=capfd)
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
    for asked, runs in (3, 3), (9, 4):
        drawn = [*arguments, "mode=plan", "search=random", f"search.n_trials={asked}"]
        code, out, err = run(*drawn, "--json", capfd=capfd)
        assert code == 0
        assert f"plan {runs} runs" in " ".join(err.split())
        found = json.loads(out)
        assert [*found] == [field.name for field in dataclasses.fields(Planned)]
        assert (found["runs"], found["full"]) == (runs, None)


def test_plan_without_weights_has_the_sizes_and_ids_of_the_sweep(
    home: Path,
    arguments: list[str],
    tiny_model: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bare = home / "설정만"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    own = f"model.path={tiny_model}"
    arguments[arguments.index(own)] = f"model.path={bare}"
    code, out, err = run(*arguments, "mode=plan", capfd=capfd)
    assert (code, err) == (0, "")
    assert f"no weights of {bare} are here: random ones stand in for the plan" in out
    plan = json.loads((home / "results" / "작은_실험" / "plan.json").read_text(encoding="utf-8"))
    configs = [recipe for _, recipe in load_settings(arguments)[0].configs()]
    assert {one["config_id"] for one in plan["configs"]} == {one.config_id for one in configs}
    code, _, err = run(*arguments, capfd=capfd)
    assert code == 2
    assert "must hold weights" in err


def test_plan_is_no_setting_of_the_study_and_is_compared_in_the_end(trained_study: Path) -> None:
    plan = json.loads((trained_study / "plan.json").read_text(encoding="utf-8"))
    rows = table(trained_study).groupby("config_id")
    assert len(plan["configs"]) == len(rows) == 4
    for config in plan["configs"]:
        runs = rows.get_group(config["config_id"])
        assert config["measured_seconds"] == pytest.approx(runs["train_seconds"].mean())
        assert (runs["lora_params"] == config["lora_params"]).all()
        assert (runs["head_params"] == config["head_params"]).all()
    assert plan["mean_absolute_error"]["seconds"] > 0


def test_plan_says_what_trains_alone_and_a_sweep_never_mixes_precisions(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove(SPACE)
    both = "search.space={lora.init_lora_weights:[true,mica]}"
    code, out, _ = run(*arguments, both, "executor.pack_size=2", capfd=capfd)
    assert code == 0
    assert "1 of 2 alone (lora.init_lora_weights=mica)" in " ".join(out.split())
    assert table(home / "results" / "작은_실험")["pack_size"].tolist() == [1, 1]
    arguments.remove("trainer.precision=fp32")
    mixed = "search.space={trainer.precision:[fp32,bf16]}"
    assert run(*arguments, mixed, "name=b", capfd=capfd)[0] == 2
    biased = ["trainer.precision=bf16", "lora.bias=all", "name=c"]
    code, _, err = run(*arguments, *biased, capfd=capfd)
    assert code == 2
    assert "lora.bias=none" in err
    assert not (home / "results" / "c").exists()
