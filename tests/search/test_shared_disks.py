"""The study's database where other machines write to the disk, too."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweep.core.disks import Disk
from sweep.core.recipe import SEARCHABLE_KEYS
from sweep.search import OptunaSearch, SearchTask
from sweep.search.study_db import journal_mode
from sweep.space.space import parse_space


def opened(folder: Path) -> OptunaSearch:
    space = parse_space({"lora.r": [4, 8, 16]}, valid_keys=SEARCHABLE_KEYS)
    task = SearchTask(name="s", space=space, sampler="grid", num_trials=3)
    return OptunaSearch(folder / "study.db", task)


def mode_of(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "study.db")) as database:
        return str(database.execute("PRAGMA journal_mode").fetchone()[0])


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "gpfs", "9p", "fuse.gcsfuse", None])
def test_no_write_ahead_log_on_a_disk_that_may_be_shared(kind: str | None, tmp_path: Path) -> None:
    assert journal_mode(tmp_path, Disk(kind)) == "delete"


def test_write_ahead_log_is_tried_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = Disk("ext4")
    assert journal_mode(tmp_path, local) == "wal"
    assert list(tmp_path.iterdir()) == []
    assert journal_mode(tmp_path / "none", local) == "delete"
    # A disk without memory that is shared between connections: SQLite says so by another mode.
    monkeypatch.setattr("sweep.search.study_db._log_works", lambda path: False)
    assert journal_mode(tmp_path, local) == "delete"


def test_study_that_moves_to_a_shared_disk_keeps_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.search.study_db.disk_of", lambda folder: Disk("ext4"))
    (tmp_path / "here").mkdir()
    search = opened(tmp_path / "here")
    first = search.ask()
    assert first is not None
    search.tell(first.number, 0.5)
    assert mode_of(tmp_path / "here") == "wal"
    # While it is open, its last trials are in the log beside it only.
    there = Path(shutil.copytree(tmp_path / "here", tmp_path / "there"))
    monkeypatch.setattr("sweep.search.study_db.disk_of", lambda folder: Disk("nfs4"))
    again, asked = opened(there), []
    while (trial := again.ask()) is not None:
        asked.append(trial.params)
        again.tell(trial.number, 0.5)
    assert first.params not in asked
    assert len(asked) == 2
    assert mode_of(there) == "delete"
