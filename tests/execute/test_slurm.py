"""Workers as jobs of a real Slurm: what it does to them changes no result (`make test-slurm`)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import slurm_here
from executors import outcomes, run_of
from sweep.commands.afar import WorkerJob
from sweep.core.errors import ConfigError
from sweep.execute.folder.executor import Folder
from sweep.execute.slurm import JobTerms, SlurmJobs, jobs_named, minutes_of
from sweep.loop.ports import Handle
from sweep.loop.trial import Event, Progress, PutBack
from sweep.study.exchange import CrewMember, ExchangeFiles, read_crew
from sweep.study.files import StudyFiles
from trainings import train_step_by_step

RANKS = (4, 5, 6)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        ("04:00:00", 240),
        ("30:00", 30),
        ("0:30", 1),
        ("1-12", 2160),
        ("1-12:30", 2190),
        ("2-00:00:00", 2880),
    ],
)
def test_times_are_those_of_sbatch(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "four hours", "1:2:3:4", "-5"])
def test_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"executor\.time"):
        minutes_of(text)


@pytest.fixture
def opened(slurm: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Folder]:
    """Two workers as jobs of an array, which train what the test asks for."""
    files = StudyFiles(tmp_path)
    terms = JobTerms(name=f"sweep-{tmp_path.name}", minutes=30, warned_s=15, options=("--requeue",))
    staff = SlurmJobs(WorkerJob(tmp_path, 1, request.param), terms, tmp_path / "submitit")
    executor = Folder(
        exchange=ExchangeFiles(files.exchange),
        runs_dir=files.runs,
        logs_dir=files.logs,
        workers=2,
        lost_after_s=20.0,
        grace_s=10.0,
        staff=staff,
    )
    yield executor
    executor.close()
    assert all(job.state == "COMPLETING" for job in jobs_named(terms.name) or [])


def drain_and(executor: Folder, act: Callable[[Event], None]) -> list[Event]:
    events: list[Event] = []
    handles: list[Handle] = [events.append, act]
    while executor.num_open:
        executor.work(lambda event: [handle(event) for handle in handles] and None)
    return events


@pytest.mark.long
@pytest.mark.parametrize("opened", [train_step_by_step], indirect=True)
def test_packs_are_trained_by_jobs_of_an_array(opened: Folder, tmp_path: Path) -> None:
    for rank in RANKS:
        opened.submit((run_of(rank),))
    crews = []

    def look(event: Event) -> None:
        crews.append(read_crew(StudyFiles(tmp_path).exchange))

    found = outcomes(drain_and(opened, look))
    assert {found[run_of(r).id].score for r in RANKS} == {r / 100 for r in RANKS}
    members = {member.host for crew in crews if crew for member in crew.members}
    assert members <= set(slurm_here.NODES)
    assert members
    jobs = {member.job for crew in crews if crew for member in crew.members}
    assert all(job is not None and "_" in job for job in jobs)


def requeue(worker: CrewMember) -> None:
    subprocess.run(["scontrol", "requeue", str(worker.job)], check=True)


def cancel(worker: CrewMember) -> None:
    subprocess.run(["scancel", str(worker.job)], check=True)


def warn(worker: CrewMember) -> None:
    """As before a time limit: submitit's hook puts the job back into the queue."""
    subprocess.run(["scancel", "--signal=USR2", str(worker.job)], check=True)


def kill(worker: CrewMember) -> None:
    """As a node that fails: nobody can say a word. Both nodes are this machine."""
    os.kill(int(worker.name.split("-")[1]), signal.SIGKILL)


@pytest.mark.long
@pytest.mark.parametrize("opened", [train_step_by_step], indirect=True)
@pytest.mark.parametrize("harm", [requeue, cancel, warn, kill])
def test_runs_go_on_whatever_slurm_does_to_a_job(
    opened: Folder, tmp_path: Path, harm: Callable[[CrewMember], None]
) -> None:
    runs = [run_of(rank) for rank in (4, 5)]
    for run in runs:
        opened.submit((run,))
    harmed: list[CrewMember] = []

    def act(event: Event) -> None:
        crew = read_crew(StudyFiles(tmp_path).exchange)
        at_it = [m for m in crew.members if event.run_id in m.run_ids] if crew else []
        if isinstance(event, Progress) and event.step >= 2 and not harmed and at_it:
            harmed.append(at_it[0])
            harm(at_it[0])

    events = drain_and(opened, act)
    found = outcomes(events)
    assert {found[run.id].score for run in runs} == {0.04, 0.05}
    assert harmed
    back = {event.run_id: event for event in events if isinstance(event, PutBack)}
    assert len(back) == 1
    assert all(event.died == (harm is kill) for event in back.values())
    # From its rung: the first steps were not made again.
    (run_id,) = back
    steps = [e.step for e in events if isinstance(e, Progress) and e.run_id == run_id]
    assert steps.count(1) == 1
