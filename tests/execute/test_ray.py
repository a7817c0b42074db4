"""Actors of Ray: what happens to them changes no result (`make test-ray`)."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ray_here
from executors import drain, outcomes, run_of
from hands import Inline, train_until_it_is_to_pause
from sweep.commands.worker import hired_in
from sweep.core.errors import ConfigError, Interrupted
from sweep.execute.folder.hands import HandsDied, Hire
from sweep.execute.ray import cluster
from sweep.execute.ray.actor import RayWorker
from sweep.execute.ray.executor import OnRay
from sweep.execute.ray.parcels import Died, Parcel, Said, packed, unpacked
from sweep.loop.ports import Handle, Pack, TrainFn
from sweep.loop.trial import Event, Finished, Paused, Progress, PutBack
from sweep.study.exchange import read_crew
from sweep.study.files import RunFiles, StudyFiles
from trainings import scored, train_step_by_step


def in_this_thread(train: TrainFn) -> Callable[[StudyFiles], Hire]:
    return lambda place: lambda name, runs_dir, threads: Inline(train, name, runs_dir)


def train_and_leave_files(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    for run in pack:
        files = RunFiles(runs_dir / run.id)
        files.adapter.mkdir()
        (files.adapter / "weights").write_bytes(b"\0\1")
        files.checkpoint.write_bytes(b"rung")
        files.predictions.write_bytes(b"scores")
        handle(scored(run))


def said_of(worker: RayWorker, *ranks: int, rungs: dict[str, bytes] | None = None) -> list[Said]:
    pack = tuple(map(run_of, ranks))
    return [said for all_said in worker.train(pack, rungs or {}) for said in all_said]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where actors of this process work."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_what_a_run_leaves_comes_as_bytes_and_stays_nowhere_else(temporary: Path) -> None:
    worker = RayWorker(in_this_thread(train_and_leave_files), threads=1)
    ends = [s for s in said_of(worker, 4, 5) if isinstance(s, Parcel) and s.event]
    ends = [said for said in ends if isinstance(said.event, Finished)]
    assert [said.run_id for said in ends] == [run_of(4).id, run_of(5).id]
    home = temporary / "home"
    unpacked(ends[0].files, home)
    assert (RunFiles(home).adapter / "weights").read_bytes() == b"\0\1"
    assert RunFiles(home).predictions.read_bytes() == b"scores"
    assert not RunFiles(home).checkpoint.exists()
    worker.leave()
    assert list(temporary.iterdir()) == [home]


def test_rungs_go_to_the_driver_at_once_and_come_with_the_run(temporary: Path) -> None:
    worker = RayWorker(in_this_thread(train_until_it_is_to_pause), threads=1)
    worker.pause(at_step=False)
    end = said_of(worker, 4)[-2]
    assert isinstance(end, Parcel)
    assert isinstance(end.event, Paused)
    rung = dict(end.files)[RunFiles(Path()).checkpoint.name]
    elsewhere = RayWorker(in_this_thread(train_until_it_is_to_pause), threads=1)
    events = [s.event for s in said_of(elsewhere, 4, rungs={run_of(4).id: rung}) if is_end(s)]
    assert [getattr(event, "outcome", None).score for event in events] == [0.5]


def is_end(said: Said) -> bool:
    return isinstance(said, Parcel) and isinstance(said.event, Finished)


class Mortal(Inline):
    """Leaves a rung and dies."""

    def __init__(self, runs_dir: Path) -> None:
        super().__init__(train_and_leave_files, "mortal", runs_dir)
        self._runs_dir = runs_dir

    def events(self, seconds: float) -> list[Event]:
        folder = self._runs_dir / run_of(4).id
        folder.mkdir(parents=True, exist_ok=True)
        RunFiles(folder).checkpoint.write_bytes(b"rung")
        raise HandsDied("killed by SIGKILL")


def test_last_rung_comes_though_what_trains_has_died(temporary: Path) -> None:
    worker = RayWorker(lambda place: lambda name, runs, n: Mortal(runs), threads=1)
    rung, _, death = said_of(worker, 4)
    assert isinstance(rung, Parcel)
    assert rung.event is None
    assert rung.files == (("rung.pt", b"rung"),)
    assert death == Died("killed by SIGKILL")


@pytest.mark.parametrize("path", ["../out", "/out", "a/../../out", "a\nb", "", ".hidden"])
def test_names_that_lead_elsewhere_stay_out(path: str, tmp_path: Path) -> None:
    unpacked(((path, b"x"), ("predictions.npy", b"y")), tmp_path / "runs" / "one")
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"runs/one/predictions.npy"}


def test_files_that_are_gone_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.execute.ray.parcels._REPLACED", 0.0)
    (tmp_path / "predictions.npy").write_bytes(b"y")
    assert packed(tmp_path, ("adapter", "predictions.npy")) == (("predictions.npy", b"y"),)


def test_without_ray_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "trouble_with", lambda package: "is not installed")
    with pytest.raises(ConfigError, match=r"sweep\[ray\]"):
        OnRay(StudyFiles(tmp_path), hired_in)


@pytest.fixture
def opened(ray_cluster: Any, tmp_path: Path) -> Iterator[OnRay]:
    """Two actors, which train step by step."""
    train = functools.partial(hired_in, train=train_step_by_step)
    executor = OnRay(StudyFiles(tmp_path), train, workers=2)
    yield executor
    executor.close()


@pytest.mark.long
@pytest.mark.parametrize("harm", ["actor", "node"])
def test_runs_go_on_whatever_happens_to_an_actor(
    opened: OnRay, ray_cluster: Any, tmp_path: Path, harm: str
) -> None:
    node = ray_here.add_node(ray_cluster)
    runs = [run_of(rank) for rank in (4, 5)]
    for run in runs:
        opened.submit((run,))
    harmed: list[str] = []
    events: list[Event] = []

    def act(event: Event) -> None:
        events.append(event)
        crew = read_crew(StudyFiles(tmp_path).exchange)
        there = f"(node {node.node_id[:8]})"
        at_it = [m for m in crew.members if event.run_id in m.run_ids] if crew else []
        if not (isinstance(event, Progress) and event.step >= 3 and not harmed and at_it):
            return
        if harm == "actor":
            harmed.append(event.run_id)
            os.kill(int(at_it[0].name.split("-")[-2]), signal.SIGKILL)
        elif there in at_it[0].host:
            harmed.append(event.run_id)
            ray_cluster.remove_node(node, allow_graceful=False)

    while opened.num_open:
        opened.work(act)
    if harm == "actor":
        ray_cluster.remove_node(node)
    assert {outcomes(events)[run.id].score for run in runs} == {0.04, 0.05}
    (back,) = [event for event in events if isinstance(event, PutBack)]
    assert [back.run_id] == harmed
    assert "its actor or its machine is gone" in back.cause
    # From its rung: the first steps were not made again.
    steps = [e.step for e in events if isinstance(e, Progress) and e.run_id == back.run_id]
    assert steps.count(1) == 1


def test_signal_in_the_middle_of_a_call_is_what_it_is(opened: OnRay) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise Interrupted(130)

    opened.submit((run_of(4),))
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(Interrupted):
            drain(opened)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_actors_that_find_no_room_are_what_the_cluster_is_asked_for(
    opened: OnRay, tmp_path: Path
) -> None:
    for rank in (4, 5):
        opened.submit((run_of(rank),))
    said: set[str | None] = set()

    def look(event: Event) -> None:
        crew = read_crew(StudyFiles(tmp_path).exchange)
        said.add(crew.jobs if crew else None)

    while opened.num_open:
        opened.work(look)
    assert "1 of 2 actors wait for 1 CPU" in said


def test_actors_that_cannot_come_end_the_sweep(ray_cluster: Any, tmp_path: Path) -> None:
    executor = OnRay(StudyFiles(tmp_path), ray_here.refuse_to_hire)
    executor.submit((run_of(4),))
    with pytest.raises(Exception, match=r"4 times in a row.*no trainer here"):
        drain(executor)
    executor.close()
