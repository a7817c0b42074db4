"""What the shell says about wandb, and what the settings say before it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweep.watch.wandb_mode import resolve_mode
from sweep.watch.wandb_target import Target
from wandb_files import all_logged
from wandb_watching import STUDY, Listener, finished, make_run, make_watcher, play

pytestmark = pytest.mark.usefixtures("wandb_at_home_nowhere")


def test_nothing_in_the_shell_says_nothing() -> None:
    assert Target.of(None, None) == Target("sweep")
    assert Target.of("lora", "team") == Target("lora", "team")


def test_shell_fills_what_the_settings_leave_open(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = {
        "WANDB_PROJECT": "korean",
        "WANDB_ENTITY": "team",
        "WANDB_TAGS": "night, klue,,night",
        "WANDB_NOTES": "a note",
        "WANDB_NAME": "big one",
        "WANDB_RUN_GROUP": "thesis",
    }
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    target = Target.of(None, None)
    assert all(name in str(target.said) for name in shell)
    run = make_run(0)
    play(make_watcher(study, Listener(), target=target), (run, finished(run)))
    trained, own = all_logged(study)
    assert (trained.run.display_name, own.run.display_name) == (run.name, "big one")
    for found in (trained, own):
        assert (found.run.project, found.run.entity) == ("korean", "team")
        assert (found.run.run_group, found.run.notes) == ("thesis", "a note")
        assert sorted(found.run.tags) == ["klue", "night"]
    assert {name: os.environ[name] for name in shell} == shell


def test_settings_come_first_and_the_head_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "shell")
    monkeypatch.setenv("WANDB_RUN_ID", "one")
    target = Target.of("lora", None)
    assert target.project == "lora"
    assert "project lora (tracking.project, before WANDB_PROJECT=shell)" in str(target.said)
    assert "WANDB_RUN_ID does not hold for a sweep" in str(target.said)


@pytest.mark.parametrize("value", ["true", "1", "YES", "on"])
def test_wandb_disabled_switches_auto_off_and_is_said(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DISABLED", value)
    mode, line = resolve_mode("auto")
    assert mode == "disabled"
    assert f"WANDB_DISABLED={value}" in str(line)
    assert resolve_mode("offline")[0] == "offline"


def test_wandb_disabled_that_says_no_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DISABLED", "false")
    assert resolve_mode("auto")[0] == "offline"


def test_disabled_variables_do_not_reach_a_wandb_that_was_asked_for(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_DISABLED", "true")
    run = make_run(0)
    play(make_watcher(study, Listener()), (run, finished(run)))
    assert [found.run.display_name for found in all_logged(study)] == [run.name, STUDY]
