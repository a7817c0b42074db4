"""Sweeps on Ray from the command line (`make test-ray`)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ray_here
from command_line import run, table, without_costs
from sweep.budget.workers import Workers
from sweep.commands.afar import share_of
from sweep.config.executor_settings import ExecutorSettings
from sweep.execute.ray.colleague import Share
from sweep.study.exchange import read_crew
from sweep.study.files import StudyFiles
from sweep_processes import PATIENCE, start

#: Two configs, whose runs are long enough to be harmed in their middle.
TWO = [
    "search.space={lora.r:[2,4]}",
    "executor.pack_size=1",
    "trainer.max_steps=400",
    "trainer.eval_steps=50",
]


def elsewhere(arguments: list[str]) -> list[str]:
    return [a for a in arguments if not a.startswith("executor=")]


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    ray_here.skip_without_ray()
    with ray_here.running() as cluster:
        yield cluster


def kill_the_node_of_a_run(study: Path, cluster: Any, node: Any, killed: list[str]) -> None:
    """As soon as a run that trains there has a rung."""
    ends_at = time.monotonic() + PATIENCE
    while not killed and time.monotonic() < ends_at:
        crew = read_crew(StudyFiles(study).exchange)
        for member in crew.members if crew else ():
            there = f"(node {node.node_id[:8]})" in member.host
            rungs = [i for i in member.run_ids if StudyFiles(study).run(i).checkpoint.exists()]
            if there and rungs and not killed:
                cluster.remove_node(node, allow_graceful=False)
                killed.extend(rungs)
        time.sleep(0.02)


@pytest.mark.trains
@pytest.mark.long
def test_table_is_that_of_one_process_though_a_node_is_killed(
    ray_cluster: Any, arguments: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*arguments, *TWO, "name=here", capfd=capfd)
    assert code == 0, out + err
    study, killed = home / "results" / "there", []
    node = ray_here.add_node(ray_cluster)
    killer = threading.Thread(
        target=kill_the_node_of_a_run, args=(study, ray_cluster, node, killed)
    )
    killer.start()
    on_ray = ["executor=ray", "executor.workers=2", "name=there"]
    code, out, err = run(*elsewhere(arguments), *TWO, *on_ray, capfd=capfd)
    killer.join()
    assert code == 0, out + err
    assert killed
    assert "its actor or its machine is gone" in out
    tables = [without_costs(table(home / "results" / name)) for name in ("here", "there")]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-6)
    assert not list(study.rglob("rung.pt"))
    assert not list(StudyFiles(study).exchange.iterdir())


@pytest.mark.trains
@pytest.mark.long
def test_driver_that_is_killed_goes_on_from_the_rungs_it_was_sent(
    ray_cluster: Any, arguments: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*arguments, *TWO, "name=here", capfd=capfd)
    assert code == 0, out + err
    on_ray = [*elsewhere(arguments), *TWO, "executor=ray", "name=there"]
    study = home / "results" / "there"
    process = start([*on_ray, f"executor.address={ray_cluster.address}"], home)
    ends_at = time.monotonic() + PATIENCE
    while not list(study.rglob("rung.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    code, out, err = run(*on_ray, capfd=capfd)
    assert code == 0, out + err
    tables = [without_costs(table(home / "results" / name)) for name in ("here", "there")]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-6)


@pytest.mark.parametrize("setting", ["executor.gpus=-1", "executor.address=ray://host:10001"])
def test_settings_that_mean_nothing_are_refused(
    setting: str, arguments: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(*elsewhere(arguments), "executor=ray", setting, capfd=capfd)
    assert code == 2
    assert setting.partition("=")[0] in err


@pytest.mark.parametrize("engine", ["ray", "slurm"])
def test_engine_that_is_not_installed_is_told_before_anything_is_done(
    engine: str,
    arguments: list[str],
    home: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place in ("sweep.execute.ray.cluster", "sweep.execute.slurm"):
        monkeypatch.setattr(f"{place}.trouble_with", lambda package: "is not installed")
    code, out, err = run(*elsewhere(arguments), f"executor={engine}", capfd=capfd)
    assert (code, out) == (2, "")
    assert f'pip install "sweep[{engine}]"' in err
    assert list(home.iterdir()) == []


def test_actors_take_what_workers_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    here = ExecutorSettings(kind="ray")
    assert share_of(Workers(4, 2, 0, (0, 1)), here) == Share(cpus=2, gpus=0.0)
    assert share_of(Workers(4, 2, 2, (0, 1)), here) == Share(cpus=2, gpus=0.5)
    there = replace(here, address="auto")
    assert share_of(Workers(4, 2, 2, (0, 1)), there) == Share(cpus=1, gpus=1.0)
    assert share_of(Workers(4, 2, 0, (0, 1)), replace(there, gpus=0.25, threads=3)) == Share(
        3, 0.25
    )
    assert Workers.of(replace(there, workers=None), use_cpu=True).count == 1
    assert Workers.of(replace(here, workers=3), use_cpu=True).count == 3


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "127.0.0.1:port"])
def test_address_where_nobody_answers_is_the_users_mistake(
    address: str,
    arguments: list[str],
    home: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sweep.execute.ray.cluster.trouble_with", lambda package: None)
    on_ray = ["executor=ray", f"executor.address={address}"]
    code, out, err = run(*elsewhere(arguments), *on_ray, capfd=capfd)
    assert (code, out) == (2, "")
    assert address in err
    assert "executor.address=auto" in err
    assert list(home.iterdir()) == []
