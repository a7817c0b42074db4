"""Sweeps whose workers share a disk with the driver, from the command line."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pandas as pd
import pytest

from command_line import run, table, without_costs
from sweep.commands.cli import run_command
from sweep.commands.worker import worker_of
from sweep.execute.folder.worker import device_of, job_id, worker_name
from sweep.study.exchange import is_plain
from sweep.study.files import StudyFiles

#: Two configs: what is compared is where they are trained.
TWO = ["search.space={lora.r:[2,4]}", "executor.pack_size=1"]


@pytest.mark.trains
@pytest.mark.long
def test_table_is_that_of_one_process(
    arguments: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, *TWO, "name=here", capfd=capfd)[0] == 0
    study = home / "results" / "afar"
    said: list[str] = []
    worker = worker_of(study, 5.0, said.append, lambda: None)
    thread = threading.Thread(target=worker.run)
    thread.start()
    afar = [a for a in arguments if not a.startswith("executor=")]
    code, out, err = run(*afar, *TWO, "executor=folder", "name=afar", capfd=capfd)
    thread.join(60)
    assert (code, thread.is_alive()) == (0, False), out + err
    tables = [without_costs(table(home / "results" / name)) for name in ("here", "afar")]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-6)
    assert {path.name for path in (study / "runs").iterdir() if path.is_dir()} == {
        path.name for path in (home / "results/here/runs").iterdir() if path.is_dir()
    }
    assert not list(study.rglob("rung.pt"))
    assert not list(StudyFiles(study).exchange.iterdir())
    assert "has nothing more to do" in said[-1]


def test_worker_without_a_driver_says_so(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("worker", "results/nothing", "--wait", "0", capfd=capfd)
    assert code == 2
    assert "A worker needs a driver." in err


def test_worker_that_is_asked_to_go_ends_as_its_signal_says(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR2))
    timer.start()
    assert run_command(["worker", "results/nothing"]) == 128 + signal.SIGUSR2
    timer.join()


@pytest.mark.parametrize("host", ["node-1.cluster.ac.kr", "../../etc", "노드", ""])
def test_names_of_workers_are_plain_whatever_the_machine_is_called(host: str) -> None:
    names = {worker_name({"SLURMD_NODENAME": host}) for _ in range(2)}
    assert len(names) == 2
    assert all(map(is_plain, names))


def test_worker_takes_one_gpu_and_knows_its_job() -> None:
    assert device_of({"CUDA_VISIBLE_DEVICES": "3,4"}) == "3"
    assert device_of({}) == "0"
    array = {"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}
    assert job_id(array) == "7_1"
    assert job_id({"PBS_JOBID": "9.host"}) == "9.host"
    assert job_id({}) is None
