"""The study's folder: one driver, settings that can't change unseen."""

from __future__ import annotations

import copy
import errno
import fcntl
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweep.commands.cli import run_command
from sweep.core.disks import Disk
from sweep.core.errors import StudyError
from sweep.study.folder import open_folder
from sweep.study.lock import is_driven, locked

SETTINGS: dict[str, Any] = {
    "name": "s",
    "results_dir": "results",
    "resume": "continue",
    "lora": {"r": 8, "target_modules": ("query", "value")},
    "search": {"sampler": "grid", "seeds": (0,), "n_trials": 20, "space": {"lora.r": [4, 8]}},
    "executor": {"workers": 2},
    "fingerprints": {"train": "abc"},
}


def changed(**paths: Any) -> dict[str, Any]:
    content = copy.deepcopy(SETTINGS)
    for path, value in paths.items():
        part, _, key = path.partition("__")
        content[part][key] = value
    return content


def test_same_settings_open_again_and_versions_are_kept(tmp_path: Path) -> None:
    open_folder(tmp_path, SETTINGS, resume="continue")
    open_folder(tmp_path, SETTINGS, resume="continue")
    content = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert "torch" in content["versions"]
    assert content["lora"]["target_modules"] == ["query", "value"]


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        ("lora__r", 16, "8", "16"),
        ("search__sampler", "tpe", "'grid'", "'tpe'"),
        ("search__space", {"lora.r": [4, 16]}, "[4, 8]", "[4, 16]"),
    ],
)
def test_changed_setting_is_refused_with_key_old_and_new_value(
    tmp_path: Path, path: str, value: Any, old: str, new: str
) -> None:
    open_folder(tmp_path, SETTINGS, resume="continue")
    before = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        open_folder(tmp_path, changed(**{path: value}), resume="continue")
    message = str(caught.value)
    assert path.replace("__", ".") in message
    assert f"was {old}" in message
    assert f"now {new}" in message
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("fingerprint", "told"),
    [
        ("train", "the train pairs of 한글/train.csv were 1,000, now 1,200"),
        ("dev", "the dev pairs of dev.csv were changed: as many (50), but with other texts"),
        ("weights", "the weights of /models/small were changed"),
        ("weights of /models/large", "the weights of /models/large were changed"),
    ],
)
def test_changed_file_is_named_with_what_has_changed(
    tmp_path: Path, fingerprint: str, told: str
) -> None:
    begun = {
        **SETTINGS,
        "data": {"source": "files", "train": "한글/train.csv", "dev": "dev.csv"},
        "model": {"path": "/models/small"},
        "fingerprints": {fingerprint: "abc"},
        "sizes": {"train": 1000, "dev": 50},
    }
    now = {**begun, "fingerprints": {fingerprint: "xyz"}, "sizes": {"train": 1200, "dev": 50}}
    open_folder(tmp_path, begun, resume="continue")
    with pytest.raises(StudyError) as caught:
        open_folder(tmp_path, now, resume="continue")
    assert told in str(caught.value)
    assert "abc" not in str(caught.value)


def test_another_file_is_told_once_and_other_sizes_alone_change_nothing(tmp_path: Path) -> None:
    begun = {**SETTINGS, "data": {"dev": "a.csv"}, "fingerprints": {"dev": "abc"}}
    open_folder(tmp_path, begun, resume="continue")
    open_folder(tmp_path, {**begun, "sizes": {"dev": 7}}, resume="continue")
    other = {**begun, "data": {"dev": "b.csv"}, "fingerprints": {"dev": "xyz"}}
    with pytest.raises(StudyError) as caught:
        open_folder(tmp_path, other, resume="continue")
    assert caught.value.value == "`data.dev` was 'a.csv', now 'b.csv'"


def test_fingerprint_that_was_not_found_out_before_is_taken_over(tmp_path: Path) -> None:
    open_folder(tmp_path, changed(fingerprints__weights="unknown"), resume="continue")
    open_folder(tmp_path, changed(fingerprints__weights="abc"), resume="continue")
    with pytest.raises(StudyError):
        open_folder(tmp_path, changed(fingerprints__weights="xyz"), resume="continue")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"lora:\n  r: 8\n lora_alpha: [16", "line 3 is not YAML"),
        (b"lora:\n\tr: 8", "line 2 is not YAML"),
        (b"", "holds no keys"),
        (b"- 8\n- 16", "holds no keys"),
        ("이름: 실험".encode("cp949"), "not UTF-8"),
    ],
)
@pytest.mark.parametrize("command", ["status", "report", "compare"])
def test_settings_that_an_edit_has_damaged_are_a_mistake_that_names_the_place(
    tmp_path: Path, content: bytes, why: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=why):
        open_folder(tmp_path, SETTINGS, resume="continue")
    assert path.read_bytes() == content
    studies = [str(tmp_path)] * (2 if command == "compare" else 1)
    assert run_command([command, *studies]) == 2
    assert why in " ".join(capfd.readouterr().err.split())


def test_study_begun_before_a_key_existed_had_its_default(tmp_path: Path) -> None:
    open_folder(tmp_path, SETTINGS, resume="continue")
    grown = changed(search__race=True)
    defaults = {"search": {"race": True, "space": {}}}
    open_folder(tmp_path, grown, resume="continue", defaults=defaults)
    with pytest.raises(StudyError, match=r"`search.race` was True, now False"):
        open_folder(tmp_path, changed(search__race=False), resume="continue", defaults=defaults)


def test_where_it_runs_may_change(tmp_path: Path) -> None:
    open_folder(tmp_path, SETTINGS, resume="continue")
    open_folder(tmp_path, changed(executor__workers=1), resume="continue")
    content = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert content["executor"]["workers"] == 1


def test_extend_takes_a_grown_space_but_no_other_change(tmp_path: Path) -> None:
    open_folder(tmp_path, SETTINGS, resume="continue")
    grown = changed(search__space={"lora.r": [4, 8, 16]})
    open_folder(tmp_path, grown, resume="extend")
    open_folder(tmp_path, grown, resume="continue")
    with pytest.raises(StudyError, match=r"lora\.r"):
        open_folder(tmp_path, changed(lora__r=16), resume="extend")


@pytest.mark.parametrize("seeds", [[1, 2], [1, 0], []])
def test_extend_takes_no_seed_away(tmp_path: Path, seeds: list[int]) -> None:
    def with_seeds(*seeds: int) -> dict[str, Any]:
        return {**changed(), "search": {**changed()["search"], "seeds": list(seeds)}}

    open_folder(tmp_path, with_seeds(0), resume="continue")
    open_folder(tmp_path, with_seeds(0, 7), resume="extend")
    with pytest.raises(StudyError, match="adds seeds behind"):
        open_folder(tmp_path, with_seeds(*seeds), resume="extend")


def test_restart_moves_everything_aside_and_deletes_nothing(tmp_path: Path) -> None:
    study = tmp_path / "연구"
    study.mkdir()
    open_folder(study, SETTINGS, resume="continue")
    (study / "runs").mkdir()
    (study / "runs" / "note.txt").write_text("mine")
    open_folder(study, changed(lora__r=16), resume="restart")
    aside = [p for p in tmp_path.iterdir() if p != study]
    assert len(aside) == 1
    assert (aside[0] / "runs" / "note.txt").read_text() == "mine"
    assert not (study / "runs").exists()


def test_two_restarts_within_a_second_keep_both_old_studies(tmp_path: Path) -> None:
    study = tmp_path / "s"
    study.mkdir()
    for _ in range(3):
        open_folder(study, SETTINGS, resume="restart")
    assert len([p for p in tmp_path.iterdir() if p != study]) == 2


def _hold(folder: Path, held: Any, done: Any) -> None:
    with locked(folder):
        held.set()
        done.wait(30)


@pytest.mark.long
def test_second_driver_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    first = context.Process(target=_hold, args=(tmp_path, held, done))
    first.start()
    assert held.wait(30)
    with pytest.raises(StudyError, match=f"process {first.pid}"), locked(tmp_path):
        pass
    first.kill()
    first.join()
    with locked(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_disk_without_locks_has_a_marker_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        with locked(tmp_path) as notice:
            assert notice is not None
            assert "keeps no locks" in notice
            assert is_driven(tmp_path)
            with pytest.raises(StudyError, match=r"remove .*lock-marker"), locked(tmp_path):
                pass
    assert not is_driven(tmp_path)


def test_locks_that_other_machines_do_not_see_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk("nfs4", frozenset({"local_lock=all"}))
    monkeypatch.setattr("sweep.study.lock.disk_of", lambda folder: disk)
    with locked(tmp_path) as notice:
        assert "nfs4" in str(notice)
    monkeypatch.undo()
    with locked(tmp_path) as notice:
        assert notice is None
