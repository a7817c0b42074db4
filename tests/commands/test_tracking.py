"""`python -m sweep wandb`, and sweeps that owe wandb something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import run, table
from sweep.study.lock import locked
from wandb_files import Logged, all_logged

pytestmark = pytest.mark.usefixtures("wandb_at_home_nowhere")


def by_run(study: Path) -> dict[str, Logged]:
    """What wandb's files hold, each run once; the study's own under its type."""
    found = all_logged(study)
    names = [str(one.config.get("run_id", one.run.job_type)) for one in found]
    assert len(set(names)) == len(names)
    return dict(zip(names, found, strict=True))


def whole(study: Path) -> None:
    """wandb holds each run of the table, with its curve and scores, and the study's own."""
    found = by_run(study)
    own = found.pop("study")
    rows = table(study)
    assert own.summary["num_complete"] == len(rows)
    assert sorted(found) == sorted(f"{r.config_id}-s{r.seed}" for r in rows.itertuples())
    for row in rows.itertuples():
        logged = found[f"{row.config_id}-s{row.seed}"]
        assert logged.summary["pearson"] == pytest.approx(row.pearson)
        assert [h["_step"] for h in logged.history][-1] == row.steps
        assert max(h["dev/pearson"] for h in logged.history) == pytest.approx(row.pearson)
        assert logged.exit_code == 0


def test_verb_writes_all_once_and_then_nothing(
    copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The study was trained without tracking."""
    study = str(copied_study)
    code, out, err = run("wandb", study, capfd=capfd)
    assert (code, err) == (0, "")
    assert "written from the records: " in out
    assert f"python -m sweep wandb {study} --online" in out.replace("'", "")
    whole(copied_study)
    files = sorted(copied_study.glob("wandb/offline-run-*"))
    code, out, _ = run("wandb", study, capfd=capfd)
    assert (code, "nothing, wandb holds all of it" in out) == (0, True)
    assert sorted(copied_study.glob("wandb/offline-run-*")) == files
    # Of a study of before there was a ledger, what is there is known by its content.
    (copied_study / "wandb.json").unlink()
    shutil.rmtree(files[1])
    assert run("wandb", study, capfd=capfd)[0] == 0
    whole(copied_study)


@pytest.mark.trains
def test_restarted_sweep_writes_what_wandb_lacks(
    copied_study: Path, study_arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [a for a in study_arguments if not a.startswith("tracking")]
    for expected in (True, False):
        before = sorted(copied_study.glob("wandb/offline-run-*"))
        code, _, err = run(*arguments, "tracking.mode=offline", capfd=capfd)
        assert (code, err) == (0, "")
        whole(copied_study)
        assert (sorted(copied_study.glob("wandb/offline-run-*")) != before) == expected


def test_verb_refuses_what_it_can_not_do(
    copied_study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    study = str(copied_study)
    code, _, err = run("wandb", study, "--online", capfd=capfd)
    assert (code, "API key" in err) == (2, True)
    assert run("wandb", str(tmp_path), capfd=capfd)[0] == 2
    with locked(copied_study):
        code, _, err = run("wandb", study, capfd=capfd)
    assert (code, "one driver at a time" in err) == (2, True)
    monkeypatch.setitem(sys.modules, "wandb", None)
    code, _, err = run("wandb", study, capfd=capfd)
    assert (code, "pip install wandb" in err) == (2, True)


@pytest.mark.long
def test_wandb_that_is_broken_costs_no_sweep_its_head(
    tmp_path: Path, study_arguments: list[str]
) -> None:
    """The whole program, with a wandb that raises at its import."""
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "__init__.py").write_text("raise ImportError('protobuf 3')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "sweep", "tracking.mode=offline"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "wandb is installed but fails at import (ImportError: protobuf 3)" in done.stderr
