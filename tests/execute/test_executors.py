"""One contract for all executors; and what happens when a worker process dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sweep.core.errors import RunFailed
from sweep.core.ports import Executor, Handle, TrainFn
from sweep.core.recipe import Lora, Recipe
from sweep.core.trial import Event, Finished, Outcome, Progress, Run, RunState, Started
from sweep.execute.in_process import InProcess
from sweep.execute.processes import Processes

Open = Callable[[TrainFn, Path], Executor]


def open_in_process(train: TrainFn, folder: Path) -> Executor:
    return InProcess(train, runs_dir=folder / "runs")


def open_processes(train: TrainFn, folder: Path) -> Executor:
    return Processes(train, runs_dir=folder / "runs", logs_dir=folder / "logs", workers=2)


def run_of(r: int) -> Run:
    return Run(0, {}, Recipe(lora=Lora(r=r)))


def train_by_rank(run: Run, folder: Path, handle: Handle) -> Outcome:
    """Rank 1 fails with a reason, 2 with a bug, 3 runs out of memory; others score."""
    handle(Progress(run.id, 1, 2))
    rank = run.recipe.lora.r
    if rank == 1:
        raise RunFailed("diverged")
    if rank == 2:
        raise KeyError("eval_pearson")
    if rank == 3:
        raise MemoryError
    (folder / "adapter").mkdir()
    print(f"threads {os.environ.get('OMP_NUM_THREADS')}")
    return Outcome(RunState.COMPLETE, pearson=rank / 100)


def train_dying(run: Run, folder: Path, handle: Handle) -> Outcome:
    """Rank 1 kills its worker every time, rank 2 the first time only."""
    rank = run.recipe.lora.r
    mark = folder / "died-before"
    if rank == 1 or (rank == 2 and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(RunState.COMPLETE, pearson=rank / 100)


def train_slowly(run: Run, folder: Path, handle: Handle) -> Outcome:
    handle(Progress(run.id, 1, 2))
    time.sleep(60)
    return Outcome(RunState.COMPLETE, pearson=0.5)


def drain(executor: Executor) -> list[Event]:
    events: list[Event] = []
    while executor.num_open:
        executor.work(events.append)
    return events


def outcomes(events: list[Event]) -> dict[str, Outcome]:
    finished = [e for e in events if isinstance(e, Finished)]
    assert len({e.run_id for e in finished}) == len(finished)
    return {e.run_id: e.outcome for e in finished}


@pytest.fixture(params=[open_in_process, open_processes], ids=["in_process", "processes"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Executor]:
    executor = request.param(train_by_rank, tmp_path)
    yield executor
    executor.close()


def test_every_run_starts_reports_and_finishes_once(opened: Executor) -> None:
    runs = [run_of(r) for r in (8, 16, 32)]
    for run in runs:
        opened.submit(run)
    assert opened.num_open == 3
    events = drain(opened)
    for run in runs:
        kinds = [type(e) for e in events if e.run_id == run.id]
        assert kinds == [Started, Progress, Finished]
    assert outcomes(events)[runs[1].id].pearson == 0.16


def test_failures_stay_apart_and_stop_nothing(opened: Executor) -> None:
    runs = {r: run_of(r) for r in (1, 2, 3, 8)}
    for run in runs.values():
        opened.submit(run)
    found = outcomes(drain(opened))
    reasons = {r: found[run.id].reason for r, run in runs.items()}
    assert reasons[1] == "diverged"
    assert reasons[2] == "KeyError: 'eval_pearson'"
    assert "out of memory" in str(reasons[3])
    assert reasons[8] is None
    assert all(found[runs[r].id].state is RunState.FAILED for r in (1, 2, 3))
    assert "eval_pearson" in str(found[runs[2].id].error)


def test_runs_have_a_folder_of_their_own_without_leftovers(
    opened: Executor, tmp_path: Path
) -> None:
    run = run_of(8)
    leftover = tmp_path / "runs" / run.id / ".adapter.1234"
    leftover.mkdir(parents=True)
    opened.submit(run)
    drain(opened)
    assert (tmp_path / "runs" / run.id / "adapter").is_dir()
    assert not leftover.exists()


def test_closing_twice_and_early_is_fine(opened: Executor) -> None:
    opened.submit(run_of(8))
    opened.close()
    opened.close()
    assert opened.num_open == 0


def test_workers_share_no_cores_and_write_to_their_logs(tmp_path: Path) -> None:
    executor = open_processes(train_by_rank, tmp_path)
    for rank in (8, 16):
        executor.submit(run_of(rank))
    drain(executor)
    executor.close()
    logs = "".join(p.read_text() for p in (tmp_path / "logs").glob("worker-*.log"))
    assert logs.count("threads 1") == 2


def test_run_whose_worker_died_is_put_back_once(tmp_path: Path) -> None:
    executor = open_processes(train_dying, tmp_path)
    unlucky, deadly, fine = run_of(2), run_of(1), run_of(8)
    for run in (unlucky, deadly, fine):
        executor.submit(run)
    found = outcomes(drain(executor))
    executor.close()
    assert found[unlucky.id].pearson == 0.02
    assert found[fine.id].pearson == 0.08
    assert found[deadly.id].state is RunState.FAILED
    assert "died twice (killed by SIGKILL" in str(found[deadly.id].reason)


def test_workers_end_with_the_executor_in_the_middle_of_a_run(tmp_path: Path) -> None:
    executor = Processes(
        train_slowly, runs_dir=tmp_path / "runs", logs_dir=tmp_path / "logs", workers=1
    )
    executor.submit(run_of(8))
    events: list[Event] = []
    while not events:
        executor.work(events.append)
    start = time.monotonic()
    executor.close()
    assert time.monotonic() - start < 10
