"""MLflow's real server: what a sweep leaves there, and servers that refuse, hang or die."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import run as run_command
from command_line import table
from mlflow_here import Server, client, needs_mlflow, running, runs_at
from sweep.core.errors import TrackingError
from sweep.loop.ports import Totals
from sweep.loop.trial import Finished, Run, Started
from sweep.watch.mlflow_log import mlflow_watcher
from sweep.watch.mlflow_target import MlflowTarget, refuse_unusable
from sweep.watch.tracked_values import StudyLog
from sweep.watch.tracking import TrackingWatcher
from wandb_watching import STUDY, Listener, evaluated, finished, make_run, make_table

pytestmark = [needs_mlflow, pytest.mark.long]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "결과 results" / "스터디 one"
    folder.mkdir(parents=True)
    return folder


def watching(study: Path, listener: Listener, uri: str, **changes: Any) -> TrackingWatcher:
    settings: dict[str, Any] = {
        "target": MlflowTarget(uri, study.parents[1].name),
        "timeout_s": 2.0,
        "searched_keys": (),
        "read_study": lambda: StudyLog(make_table()),
        "say": listener.say,
    }
    return mlflow_watcher(study, **(settings | changes))


def ended(run: Run) -> Finished:
    return finished(run, curve={5: 0.4, 10: 0.8})


def loop_seconds(watcher: TrackingWatcher, runs: list[Run]) -> float:
    """How long the loop was held up by telling the watcher."""
    began = time.monotonic()
    watcher.opened(Totals(STUDY, len(runs)))
    for run in runs:
        watcher.run_event(run, Started(run.id, "w0"))
        watcher.run_event(run, evaluated(run, 5, 0.4))
        watcher.run_event(run, ended(run))
    watcher.closed()
    return time.monotonic() - began


def made_up_for(study: Path, uri: str, runs: list[Run]) -> None:
    """The next start writes what is missing, into the same runs."""
    listener = Listener()
    watcher = watching(study, listener, uri, timeout_s=30.0)
    watcher.opened(Totals(STUDY, len(runs)))
    for run in runs:
        watcher.run_reused(run, ended(run).outcome)
    watcher.closed()
    watcher.finish()
    assert listener.lines == []
    found = runs_at(uri, study.parents[1].name)
    assert [one.info.run_name for one in found] == [*(run.name for run in runs), STUDY]
    parent = found[-1].info.run_id
    for one in found[:-1]:
        assert (one.info.status, one.data.tags["mlflow.parentRunId"]) == ("FINISHED", parent)
        curve = client(uri).get_metric_history(one.info.run_id, "dev/pearson")
        assert [(point.step, point.value) for point in curve] == [(5, 0.4), (10, 0.8)]


def told_once(listener: Listener, runs: list[Run]) -> None:
    assert sum("does not answer" in line for line in listener.lines) <= 2
    assert f"MLflow lacks {len(runs)} runs: the next start writes them" in listener.lines[-1]
    assert "python -m sweep mlflow" in listener.lines[-1]


def test_server_that_refuses_costs_the_loop_nothing(study: Path, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    runs, listener = [make_run(0), make_run(1, r=16)], Listener()
    watcher = watching(study, listener, nowhere)
    assert loop_seconds(watcher, runs) < 1
    watcher.finish()
    told_once(listener, runs)
    made_up_for(study, server.uri, runs)


def test_server_that_hangs_costs_the_loop_nothing(study: Path, server: Server) -> None:
    runs, listener = [make_run(0), make_run(1, r=16)], Listener()
    watcher = watching(study, listener, server.uri)
    server.send(signal.SIGSTOP)
    try:
        assert loop_seconds(watcher, runs) < 1
        began = time.monotonic()
        watcher.finish()
        assert time.monotonic() - began < 30
    finally:
        server.send(signal.SIGCONT)
    told_once(listener, runs)
    made_up_for(study, server.uri, runs)


def test_server_that_dies_and_comes_back_has_each_run_once(study: Path, server: Server) -> None:
    runs, listener = [make_run(0), make_run(1, r=16)], Listener()
    watcher = watching(study, listener, server.uri)
    watcher.opened(Totals(STUDY, 2))
    for run in runs:
        watcher.run_event(run, Started(run.id, "w0"))
        watcher.run_event(run, evaluated(run, 5, 0.4))
    deadline = time.monotonic() + 60
    name = study.parents[1].name
    while len(runs_at(server.uri, name)) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    server.kill()
    for run in runs:
        watcher.run_event(run, ended(run))
    watcher.closed()
    watcher.finish()
    told_once(listener, runs)
    server.start()
    made_up_for(study, server.uri, runs)


@pytest.mark.trains
def test_sweep_leaves_nested_runs_report_and_verdict(
    copied_study: Path,
    study_arguments: list[str],
    server: Server,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    arguments = [a for a in study_arguments if not a.startswith("tracking")]
    of_mlflow = ["tracking=mlflow", f"tracking.uri={server.uri}", "tracking.project=실험"]
    code, out, err = run_command(*arguments, *of_mlflow, capfd=capfd)
    assert (code, err) == (0, "")
    assert f"MLflow logs to {server.uri}, experiment 실험" in out
    *runs, own = sorted(
        runs_at(server.uri, "실험"), key=lambda run: run.data.tags["kind"] == "study"
    )
    rows = table(copied_study)
    assert len(runs) == len(rows)
    scores = {run.data.tags["run_id"]: run.data.metrics["pearson"] for run in runs}
    for row in rows.itertuples():
        assert scores[f"{row.config_id}-s{row.seed}"] == pytest.approx(row.pearson)
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {own.info.run_id}
    assert own.data.tags["mlflow.note.content"]
    files = {file.path for file in client(server.uri).list_artifacts(own.info.run_id)}
    assert files == {"report.html", "leaderboard.csv", "table.csv", "verdict.json"}
    # Again from the records: nothing is new.
    code, out, err = run_command("mlflow", str(copied_study), capfd=capfd)
    assert (code, err) == (0, "")
    assert "MLflow holds all of it" in out
    assert len(runs_at(server.uri, "실험")) == len(rows) + 1


def test_folders_are_refused_with_the_way_out() -> None:
    with pytest.raises(TrackingError, match=r"sqlite:///mlflow.db"):
        refuse_unusable(MlflowTarget("mlruns"), "`tracking=mlflow`")
