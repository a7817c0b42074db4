"""Sweeps that are killed, interrupted or steered from another terminal."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from command_line import run, states, table, without_costs
from sweep_processes import STARTED, going_with_a_score, num_done, send, start, wait_for, when


@pytest.fixture(autouse=True)
def no_process_outlives_its_test() -> Iterator[None]:
    """A test that fails would leave a sweep behind, which slows all that follow."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.mark.parametrize("kill_at", [0, 2])
def test_killed_sweep_finishes_the_rest_to_the_unbroken_result(
    tmp_path: Path, arguments: list[str], kill_at: int
) -> None:
    in_processes = [a for a in arguments if a != "executor=in_process"]
    in_processes += ["executor=processes", "executor.workers=2", "trainer.max_steps=40"]
    # Who shares a pack after the restart would change the last digits.
    in_processes += ["executor.pack_size=1"]
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    for folder in (broken, unbroken):
        folder.mkdir()
    process = start(in_processes, broken)
    runs = broken / "results" / "작은_실험" / "runs"
    wait_for(lambda: num_done(broken) >= kill_at and runs.is_dir(), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    finished = {p: p.stat().st_mtime_ns for p in runs.glob("*/run.json")}
    again = start(in_processes, broken)
    out, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert out.count("done before") == len(finished)
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    whole = start(in_processes, unbroken)
    assert whole.wait(timeout=240) == 0
    whole.communicate()
    tables = [without_costs(table(f / "results" / "작은_실험")) for f in (broken, unbroken)]
    assert tables[0]["state"].tolist() == ["complete"] * 4
    pd.testing.assert_frame_equal(*tables, atol=1e-6, rtol=0)


def test_status_and_stop_from_another_terminal(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    study = home / "results" / "작은_실험"
    assert run("status", str(study), capfd=capfd)[0] == 2
    arguments.remove("executor=in_process")
    arguments += ["executor.workers=1", "trainer.max_steps=4000", "trainer.eval_steps=50"]
    arguments += ["executor.pack_size=1"]
    process = start(arguments, home)
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
    wait_for(lambda: "pruned" in set(table(study)["state"]), process)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=60)
    assert process.returncode == 130
    # Workers that are stopped in the middle of a run leave nothing behind.
    assert not any("leaked" in text for text in printed)
    rows = table(study)
    stopped = rows[rows["config_id"] == config].iloc[0]
    assert (stopped["state"], stopped["reason"]) == ("pruned", "stopped by hand")
    assert "no driver is at work" in run("status", str(study), capfd=capfd)[1]


@pytest.mark.parametrize("twice", [False, True])
def test_interrupted_workers_stop_at_their_rung_or_at_once_and_say_how_to_go_on(
    tmp_path: Path, arguments: list[str], twice: bool
) -> None:
    slow = [a for a in arguments if a != "executor=in_process"]
    slow += ["executor.workers=2", "trainer.max_steps=30000"]
    slow += ["resume=restart" if twice else "+resume='restart'"]
    slow += [f"trainer.eval_steps={20000 if twice else 100}"]
    study = tmp_path / "results" / "작은_실험"
    process = start(slow, tmp_path)
    wait_for(lambda: "running" in states(study), process)
    # The whole process group, as a terminal does.
    os.killpg(process.pid, signal.SIGINT)
    if twice:
        assert process.stdout is not None
        assert any("Ctrl-C again stops at once" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "to go on:\n  python -m sweep" in out
    # It would move aside what it promises to go on with.
    assert "resume" not in out
    assert states(study) == {"queued"}
    assert bool(list(study.glob("runs/*/rung.pt"))) != twice


def test_sigterm_to_the_whole_group_ends_within_ten_seconds(
    tmp_path: Path, arguments: list[str]
) -> None:
    slow = [a for a in arguments if a != "executor=in_process"]
    slow += ["executor.workers=1", "trainer.max_steps=90000", "trainer.eval_steps=80000"]
    process = start(slow, tmp_path)
    wait_for(lambda: "running" in states(tmp_path / "results" / "작은_실험"), process)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 143
    assert "Traceback" not in err
    assert "to go on:\n  python -m sweep" in out
    assert states(tmp_path / "results" / "작은_실험") == {"queued"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_goes_on_from_its_rung_to_the_unbroken_score(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str],
    number: signal.Signals, code: int,
) -> None:  # fmt: skip
    study = home / "results" / "작은_실험"
    arguments += ["trainer.max_steps=60", "trainer.eval_steps=10", "search.space={lora.r:[2]}"]
    with when(lambda: list(study.glob("runs/*/rung.pt")) != [], lambda: send(number)):
        ended, out, err = run(*arguments, capfd=capfd)
    assert (ended, err) == (code, "")
    assert "waits " in out
    assert states(study) == {"queued"}
    (rung,) = study.glob("runs/*/rung.pt")
    step = torch.load(rung, weights_only=True)["step"]
    assert f"at step {step}" in out
    assert run(*arguments, capfd=capfd)[0] == 0
    assert run(*arguments, "name=whole", capfd=capfd)[0] == 0
    tables = [without_costs(table(study.with_name(n))) for n in (study.name, "whole")]
    pd.testing.assert_frame_equal(*tables)
