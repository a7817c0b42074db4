"""Sweeps that are killed, interrupted or steered from another terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from command_line import run, states, table, without_costs
from sweep_processes import (
    PATIENCE,
    SweepProcess,
    end_all,
    going_with_a_score,
    num_done,
    send,
    start,
    start_python,
    wait_for,
    when,
)

pytestmark = [pytest.mark.trains, pytest.mark.long]

Begin = Callable[[Sequence[str], Path], SweepProcess | subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def no_process_outlives_its_test() -> Iterator[None]:
    yield
    end_all()


def test_killed_sweep_finishes_the_rest_to_the_unbroken_result(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove("executor=in_process")
    arguments += ["executor=processes", "executor.workers=2", "trainer.max_steps=40"]
    # Who shares a pack after the restart would change the last digits.
    arguments += ["executor.pack_size=1"]
    study = home / "results" / "작은_실험"
    runs = study / "runs"
    for kill_at in (0, 2):
        process = start(arguments, home)
        wait_for(lambda least=kill_at: num_done(runs) >= least and runs.is_dir(), process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    finished = {p: p.stat().st_mtime_ns for p in runs.glob("*/run.json")}
    code, out, err = run(*arguments, capfd=capfd)
    assert code == 0, err
    assert out.count("done before") == len(finished) >= 2
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    assert run(*arguments, "name=unbroken", capfd=capfd)[0] == 0
    tables = [without_costs(table(study.with_name(name))) for name in (study.name, "unbroken")]
    assert tables[0]["state"].tolist() == ["complete"] * 4
    pd.testing.assert_frame_equal(*tables, atol=1e-6, rtol=0)


def test_status_and_stop_from_another_terminal_then_an_interruption(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    study = home / "results" / "작은_실험"
    assert run("status", str(study), capfd=capfd)[0] == 2
    arguments.remove("executor=in_process")
    arguments += ["executor.workers=1", "trainer.max_steps=4000", "trainer.eval_steps=50"]
    arguments += ["executor.pack_size=1"]
    process = start([*arguments, "+resume='restart'"], home)
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
    wait_for(lambda: {"pruned", "running"} <= states(study), process)
    # The whole process group, as a terminal does.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    # Workers that are stopped in the middle of a run leave nothing behind.
    assert (process.returncode, err) == (130, "")
    assert "to go on:\n  python -m sweep" in out
    # It would move aside what it promises to go on with.
    assert "resume" not in out
    assert states(study) == {"pruned", "queued"}
    assert rungs(study), "the run under way stops at its next evaluation"
    rows = table(study)
    stopped = rows[rows["config_id"] == config].iloc[0]
    assert (stopped["state"], stopped["reason"]) == ("pruned", "stopped by hand")
    assert "no driver is at work" in run("status", str(study), capfd=capfd)[1]


def test_workers_that_are_interrupted_twice_stop_at_once(
    tmp_path: Path, arguments: list[str]
) -> None:
    slow = [a for a in arguments if a != "executor=in_process"]
    slow += ["executor.workers=2", "trainer.max_steps=30000", "trainer.eval_steps=20000"]
    study = tmp_path / "results" / "작은_실험"
    process = start([*slow, "resume=restart"], tmp_path)
    wait_for(lambda: "running" in states(study), process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout is not None
    assert any("Ctrl-C again stops at once" in line for line in process.stdout)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "")
    assert "to go on:\n  python -m sweep" in out
    assert "resume" not in out
    assert states(study) == {"queued"}
    assert not rungs(study)


@pytest.mark.parametrize(
    ("number", "begin"),
    [(signal.SIGTERM, start_python), (signal.SIGUSR1, start)],
    ids=["TERM", "USR1"],
)
def test_signal_to_the_whole_group_saves_the_runs_where_they_are(
    number: signal.Signals, begin: Begin, tmp_path: Path, arguments: list[str]
) -> None:
    """As Slurm sends it: to the driver, the workers, the server that they are forked from."""
    slow = [a for a in arguments if a != "executor=in_process"]
    slow += [
        "executor.workers=1",
        "executor.threads=1",
        "trainer.max_steps=90000",
        "trainer.eval_steps=80000",
    ]
    study = tmp_path / "results" / "작은_실험"
    process = begin([*slow, "executor.grace_s=20"], tmp_path)
    wait_for(lambda: "running" in states(study), process)
    for _ in range(3):  # to the job, to its step, to whatever it started
        os.killpg(process.pid, number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (128 + number, "")
    assert f"Stopping within 20 s ({number.name})" in out
    assert "to go on:\n  python -m sweep" in out
    assert states(study) == {"queued"}
    for rung in rungs(study):
        assert torch.load(rung, weights_only=True)["evaluations"] == []
    assert len(rungs(study)) == 4


def test_run_that_is_saved_in_the_middle_goes_on_to_the_unbroken_score(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    study = home / "results" / "작은_실험"
    arguments.remove("executor=in_process")
    arguments += ["trainer.max_steps=300", "trainer.eval_steps=100", "search.space={lora.r:[2]}"]
    arguments += ["executor.workers=1", "executor.threads=1"]
    process = start([*arguments, "executor.grace_s=30"], home)
    wait_for(lambda: bool(rungs(study)), process)
    # As Slurm does: a warning, then the end. The second one leaves no time for an evaluation.
    os.kill(process.pid, signal.SIGUSR2)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(PATIENCE) in (128 + signal.SIGUSR2, 128 + signal.SIGTERM)
    (rung,) = rungs(study)
    assert torch.load(rung, weights_only=True)["step"] % 100 > 0
    assert run(*arguments, capfd=capfd)[0] == 0
    assert run(*arguments, "name=whole", capfd=capfd)[0] == 0
    tables = [without_costs(table(study.with_name(n))) for n in (study.name, "whole")]
    pd.testing.assert_frame_equal(*tables)


def test_hangup_that_was_ignored_from_the_start_stays_ignored(
    tmp_path: Path, arguments: list[str]
) -> None:
    """As `nohup` starts it."""
    study = tmp_path / "results" / "작은_실험"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start([*arguments, "trainer.max_steps=200", "trainer.eval_steps=50"], tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for(lambda: "running" in states(study), process)
    os.killpg(process.pid, signal.SIGHUP)
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "Stopping" in out) == (0, False)
    assert states(study) == {"complete"}


def test_worker_that_was_killed_is_said_on_screen_and_in_its_log(
    tmp_path: Path, arguments: list[str]
) -> None:
    study = tmp_path / "results" / "작은_실험"
    arguments.remove("executor=in_process")
    arguments += [
        "executor.workers=1",
        "executor.threads=1",
        "trainer.max_steps=300",
        "trainer.eval_steps=50",
    ]
    process = start(arguments, tmp_path)
    wait_for(lambda: list(study.glob("runs/*/rung.pt")) != [], process)
    worker = next(
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if any(str(study / "logs") in file.path for file in child.open_files())
    )
    worker.kill()
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert states(study) == {"complete"}
    again = [line for line in out.splitlines() if line.startswith("starts again")]
    assert len(again) == 4  # the pack that it was at work on
    assert all("worker-0 died (killed by SIGKILL, often out of memory)" in line for line in again)
    assert "== worker-0 died (killed by SIGKILL" in (study / "logs" / "worker-0.log").read_text()


def test_interrupted_run_goes_on_from_its_rung_to_the_unbroken_score(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    study = home / "results" / "작은_실험"
    arguments += ["trainer.max_steps=200", "trainer.eval_steps=10", "search.space={lora.r:[2]}"]
    steps = [0]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        before = rungs(study)
        with when(lambda old=before: rungs(study) != old, lambda n=number: send(n)):
            ended, out, err = run(*arguments, capfd=capfd)
        assert (ended, err) == (128 + number, "")
        assert "waits " in out
        assert states(study) == {"queued"}
        (rung,) = study.glob("runs/*/rung.pt")
        steps.append(torch.load(rung, weights_only=True)["step"])
        assert f"at step {steps[-1]}" in out
    assert steps == sorted(set(steps)), "it started over"
    assert run(*arguments, capfd=capfd)[0] == 0
    assert run(*arguments, "name=whole", capfd=capfd)[0] == 0
    tables = [without_costs(table(study.with_name(n))) for n in (study.name, "whole")]
    pd.testing.assert_frame_equal(*tables)


def rungs(study: Path) -> dict[Path, int]:
    """When each run that is under way has kept its last evaluation."""
    found = {}
    for path in study.glob("runs/*/rung.pt"):
        # A run that ends takes it away.
        with suppress(FileNotFoundError):
            found[path] = path.stat().st_mtime_ns
    return found
