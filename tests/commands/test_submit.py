"""A sweep whose driver and workers are jobs of a real Slurm (`make test-slurm`)."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import slurm_here
from command_line import run, table, without_costs
from sweep.commands.afar import name_of
from sweep.execute.slurm import jobs_named

#: Importing torch, on nodes that share two cores.
PATIENCE = 900.0
TWO = ["search.space={lora.r:[2,4]}", "executor.pack_size=1"]


def test_job_without_a_time_is_refused(
    arguments: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("submit", *arguments, capfd=capfd)
    assert code == 2
    assert "A job needs to know how long it may run." in err


def test_names_of_jobs_are_the_study_s_own(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "실험 1", tmp_path / "b" / "실험 1"
    assert name_of(one) == name_of(one)
    assert name_of(one) != name_of(other)
    assert name_of(one).isascii()


@pytest.mark.trains
@pytest.mark.long
def test_submitted_sweep_goes_on_after_a_warning_to_the_same_table(
    arguments: list[str],
    home: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slurm_here.skip_without_slurm()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run(*arguments, *TWO, "name=here", capfd=capfd)[0] == 0
    afar = [a for a in arguments if not a.startswith("executor=")]
    study = home / "results" / "afar"
    (tmp_path / "slurm").mkdir()
    slurm = ["executor=slurm", "executor.workers=1", "executor.time=30", "name=afar"]
    with slurm_here.running(tmp_path / "slurm"):
        code, out, err = run("submit", *afar, *TWO, *slurm, capfd=capfd)
        assert code == 0, err
        job = out.split()[1]
        driver = f"sweep-driver-{name_of(study)}"
        wait_until(lambda: (study / "table.csv").is_file(), driver)
        # As before its time is over: it is put back into the queue, and goes on.
        subprocess.run(["scancel", "--signal=USR2", job], check=True)
        wait_until(lambda: jobs_named(driver) == [], None)
    tables = [without_costs(table(home / "results" / name)) for name in ("here", "afar")]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-6)
    hosts = {name.split("-")[0] for name in pd.read_csv(study / "table.csv")["worker"].dropna()}
    assert hosts <= set(slurm_here.NODES)
    log = next((tmp_path / "cache").rglob(f"{job}_0_log.out")).read_text()
    assert "Requeued job" in log
    assert study.name in log


def wait_until(condition: Callable[[], bool], job: str | None) -> None:
    """While the job is there, where one is named."""
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends_at
        assert job is None or jobs_named(job) != []
        time.sleep(1)
