"""The door: where flags may stand, and which run is meant."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import yaml

from sweep.commands.cli import run_command
from sweep.core.commands import meant


@pytest.mark.parametrize("place", [0, 1, 2])
def test_flags_may_stand_anywhere_among_overrides(
    place: int, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["+experiment=lora_grid", "name=여기"]
    arguments.insert(place, "--cfg")
    assert run_command(arguments) == 0
    composed = yaml.safe_load(capfd.readouterr().out)
    assert (composed["name"], composed["search"]["sampler"]) == ("여기", "grid")


@pytest.mark.parametrize(
    "arguments", [["name=x", "--confg"], ["run", "--cfg", "-x"], ["status", "results/x", "more"]]
)
def test_unknown_flags_are_refused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(arguments)
    assert caught.value.code == 2
    assert "unrecognized arguments" in capfd.readouterr().err


def test_study_is_found_under_a_name_in_another_unicode_form(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / unicodedata.normalize("NFD", "연구")
    study.mkdir()
    (study / "config.yaml").write_text("{", encoding="utf-8")
    asked = str(tmp_path / unicodedata.normalize("NFC", "연구"))
    for arguments in (["status", asked], ["report", asked], ["compare", asked, asked]):
        assert run_command(arguments) == 2
        # It is there, and its settings are what is wrong.
        assert "does not" not in capfd.readouterr().err


@pytest.mark.parametrize("verb", [["status"], ["predict", "x"], ["report"]])
def test_path_that_no_disk_takes_is_told(
    verb: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*verb, "가" * 300]) in (1, 2)
    assert "error:" in capfd.readouterr().err


def test_name_in_full_means_itself_though_others_begin_so() -> None:
    names = ["00bd-s1", "00bd-s10", "00bd-s11", "77aa-s1"]
    assert meant("00bd-s1", names) == ["00bd-s1"]
    assert meant("00bd", names) == names[:3]
    assert meant("77", names) == ["77aa-s1"]
    assert meant("s1", names) == []
