"""The one door to a study: values for what its folder holds, a word for what it can't read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from recorded import LABELS, finish, open_results, outcome, run_of
from sweep.commands.cli import run_command
from sweep.core.errors import StudyError
from sweep.loop.objectives import parse_objectives
from sweep.loop.trial import Outcome, RunState, Started
from sweep.study.files import FORMAT, StudyFiles
from sweep.study.folder import open_folder
from sweep.study.study import Study

SETTINGS: dict[str, Any] = {
    "name": "작은 실험",
    "search": {
        "space": {"lora.r": [8, 16], "lora.target_modules": ["qv", "all-linear"]},
        "seeds": [0],
    },
    "fingerprints": {"dev": "abc"},
}


def begun(folder: Path) -> Path:
    """A study with two scored configs, one failed run, and one under way."""
    open_folder(folder, SETTINGS, resume="continue")
    np.save(StudyFiles(folder).dev_labels, LABELS)
    results = open_results(folder)
    finish(results, run_of(0, 8), outcome(0.9), noise=0.2)
    finish(results, run_of(1, 16), outcome(0.7), noise=2.0)
    finish(results, run_of(2, 32), Outcome(RunState.FAILED, reason="NaN"))
    going = run_of(3, 64)
    results.add(going)
    results.handle(Started(going.id, "cpu1"))
    results.write_tables()
    return folder


def test_study_gives_what_its_driver_has_written(tmp_path: Path) -> None:
    study = Study.open(begun(tmp_path))
    assert study.settings.name == "작은 실험"
    assert study.keys == ("lora.r", "lora.target_modules")
    assert study.settings.num_configs == 4
    assert [record.run.recipe.lora.r for record in study.records] == [8, 16, 32]
    assert [row.state.value for row in study.runs] == ["complete", "complete", "failed", "running"]
    assert study.num_in_state[RunState.RUNNING] == 1
    assert study.runs[2].reason == "NaN"
    assert study.runs[2].score is None
    assert study.runs[0].values == {"lora.r": 8, "lora.target_modules": "query+value"}
    assert study.runs[0].words == "r=8 on query+value"
    assert study.verdict is not None
    assert study.verdict == study.ranking.verdict(baseline=None)
    assert study.recommended.config_id == study.leaderboard[0].config_id


def test_what_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    open_folder(tmp_path, SETTINGS, resume="continue")
    study = Study.open(tmp_path)
    assert (study.records, study.runs, study.leaderboard, study.rank_use) == ((), (), (), ())
    found = study.verdict, study.plan, study.guard, study.test_scores, study.confirmation
    assert found == (None,) * 5


@pytest.mark.parametrize("objectives", [["pearson:max"], ["pearson:max", "peak_memory_mb:min"]])
def test_rows_come_back_from_their_files_as_they_were(
    tmp_path: Path, objectives: list[str]
) -> None:
    begun(tmp_path)
    results = open_results(tmp_path, objectives=parse_objectives(objectives))
    results.write_tables()
    study = Study.open(tmp_path)
    assert list(study.leaderboard) == results.configs()
    assert all(type(row.values["lora.r"]) is int for row in study.leaderboard)
    assert study.leaderboard[0].tied_with_best is True
    assert study.leaderboard[0].measure("pearson") == study.leaderboard[0].mean


def test_study_of_a_newer_format_is_refused_with_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = StudyFiles(begun(tmp_path)).settings
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["format"] == FORMAT
    path.write_text(yaml.safe_dump({**content, "format": FORMAT + 1}), encoding="utf-8")
    for verb in ("status", "report", "export"):
        assert run_command([verb, str(tmp_path)]) == 2
        said = " ".join(capfd.readouterr().err.split())
        assert f"has format {FORMAT + 1}" in said
        assert "Traceback" not in said
    with pytest.raises(StudyError, match="format"):
        open_folder(tmp_path, SETTINGS, resume="continue")


def test_study_without_a_number_is_of_today(tmp_path: Path) -> None:
    path = StudyFiles(begun(tmp_path)).settings
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("format")), "utf-8")
    assert len(Study.open(tmp_path).leaderboard) == 2
    open_folder(tmp_path, SETTINGS, resume="continue")
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["format"] == FORMAT


@pytest.mark.parametrize("text", ["", "just words", "lora: {r: 8}", "search: {space: 3}", "a: [b"])
def test_settings_that_are_none_are_refused_by_name(tmp_path: Path, text: str) -> None:
    StudyFiles(tmp_path).settings.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"config\.yaml"):
        Study.open(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"best": 3}', "\xff"])
@pytest.mark.parametrize("name", ["verdict", "plan", "guard", "test_scores", "confirmation"])
def test_damaged_file_is_named_in_the_log_and_counts_as_none(
    tmp_path: Path, name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    study = Study.open(begun(tmp_path))
    path = getattr(study.files, name)
    path.write_bytes(text.encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert getattr(study, name) is None
    assert path.name in caplog.text


def test_damaged_table_is_named(tmp_path: Path) -> None:
    study = Study.open(begun(tmp_path))
    study.files.table.write_bytes(b"\xff\xfe\x00a,b")
    with pytest.raises(StudyError, match=r"table\.csv"):
        _ = study.runs
