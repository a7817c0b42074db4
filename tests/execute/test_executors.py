"""One contract for all executors; and what happens when a worker process dies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from executors import Open, drain, open_processes, outcomes, run_of
from sweep.execute.cores import physical_cores
from sweep.execute.in_process import InProcess
from sweep.execute.processes import Processes
from sweep.loop.ports import Executor, Handle, Pack, TrainFn
from sweep.loop.trial import Event, Finished, Progress, RunState, Started
from trainings import (
    scored,
    train_by_rank,
    train_dying,
    train_dying_in_a_message,
    train_slowly,
    train_two_at_once,
)

pytestmark = pytest.mark.long

#: Those whose workers are processes of their own.
APART = ("processes", "folder", "slurm", "ray")


@pytest.fixture
def opened(open_executor: Open, tmp_path: Path) -> Iterator[Executor]:
    executor = open_executor(train_by_rank, tmp_path)
    yield executor
    executor.close()


def test_every_run_starts_reports_and_finishes_once(opened: Executor) -> None:
    runs = [run_of(r) for r in (8, 16, 32)]
    for run in runs:
        opened.submit((run,))
    assert opened.num_open == 3
    events = drain(opened)
    for run in runs:
        kinds = [type(e) for e in events if e.run_id == run.id]
        assert kinds == [Started, Progress, Finished]
    assert outcomes(events)[runs[1].id].score == 0.16


def test_failures_stay_apart_and_stop_nothing(opened: Executor) -> None:
    runs = {r: run_of(r) for r in (1, 2, 3, 8)}
    for run in runs.values():
        opened.submit((run,))
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
    opened.submit((run,))
    drain(opened)
    assert (tmp_path / "runs" / run.id / "adapter").is_dir()
    assert not leftover.exists()


def test_closing_twice_and_early_is_fine(opened: Executor) -> None:
    opened.submit((run_of(8),))
    opened.close()
    opened.close()
    assert opened.num_open == 0


def test_workers_share_no_cores_and_write_to_their_logs(tmp_path: Path) -> None:
    executor = open_processes(train_by_rank, tmp_path)
    for rank in (8, 16):
        executor.submit((run_of(rank),))
    drain(executor)
    executor.close()
    logs = "".join(p.read_text() for p in (tmp_path / "logs").glob("worker-*.log"))
    assert logs.count("threads 1") == 2


@pytest.mark.parametrize("train", [train_dying, train_dying_in_a_message])
@pytest.mark.parametrize("open_executor", APART, indirect=True)
def test_run_whose_worker_died_is_put_back(
    train: TrainFn, open_executor: Open, tmp_path: Path
) -> None:
    executor = open_executor(train, tmp_path)
    unlucky, deadly, fine = run_of(2), run_of(1), run_of(8)
    for run in (unlucky, deadly, fine):
        executor.submit((run,))
    found = outcomes(drain(executor))
    executor.close()
    assert found[unlucky.id].score == 0.02
    assert found[fine.id].score == 0.08
    assert found[deadly.id].state is RunState.FAILED
    assert re.search(r"died (twice|3 times) \(killed by SIGKILL", str(found[deadly.id].reason))


def test_workers_end_with_the_executor_in_the_middle_of_a_run(tmp_path: Path) -> None:
    executor = Processes(
        train_slowly, runs_dir=tmp_path / "runs", logs_dir=tmp_path / "logs", workers=1
    )
    run = run_of(8)
    executor.submit((run,))
    events: list[Event] = []
    while not any(isinstance(event, Progress) for event in events):
        executor.work(events.append)
    executor.close()
    assert not (tmp_path / "runs" / run.id / "over").exists()


def test_bug_in_a_pack_fails_its_own_run_only(opened: Executor) -> None:
    fine, broken, diverged, behind = run_of(8), run_of(2), run_of(1), run_of(16)
    opened.submit((fine, broken, diverged, behind))
    found = outcomes(drain(opened))
    assert found[fine.id].score == 0.08
    assert found[broken.id].reason == "KeyError: 'eval_pearson'"
    assert found[diverged.id].reason == "diverged"
    assert found[behind.id].score == 0.16


def test_last_run_of_a_failed_pack_gets_a_chance_of_its_own(tmp_path: Path) -> None:
    def train(pack: Pack, runs_dir: Path, handle: Handle) -> None:
        for run in pack:
            if len(pack) > 1 and run is pack[-1]:
                raise KeyError("its company's fault")
            handle(scored(run))

    executor = InProcess(train, runs_dir=tmp_path / "runs", pack_size=4)
    runs = tuple(map(run_of, (8, 16, 32)))
    executor.submit(runs)
    found = outcomes(drain(executor))
    assert [found[run.id].score for run in runs] == [0.08, 0.16, 0.32]


def test_pack_that_does_not_fit_is_halved_and_the_next_ones_are_cut(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    executor = InProcess(train_two_at_once, runs_dir=tmp_path / "runs", pack_size=8)
    first, second = tuple(map(run_of, range(1, 9))), tuple(map(run_of, range(11, 15)))
    executor.submit(first)
    executor.submit(second)
    found = outcomes(drain(executor))
    assert {found[run.id].score for run in first + second} == {
        run.recipe.lora.r / 100 for run in first + second
    }
    sizes = [int(line.split()[1]) for line in capfd.readouterr().out.splitlines()]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("open_executor", APART, indirect=True)
def test_death_in_a_pack_costs_the_others_nothing(open_executor: Open, tmp_path: Path) -> None:
    # Nobody knows whose fault it was: the runs come back in halves, until one dies alone.
    executor = open_executor(train_dying, tmp_path)
    runs = tuple(map(run_of, (8, 4, 1, 16)))
    executor.submit(runs)
    found = outcomes(drain(executor))
    executor.close()
    assert {run.recipe.lora.r: found[run.id].score for run in runs} == {
        8: 0.08,
        4: 0.04,
        1: None,
        16: 0.16,
    }
    assert "its worker process died" in str(found[runs[2].id].reason)


def test_pinned_workers_stay_on_cores_of_their_own(tmp_path: Path) -> None:
    cores = physical_cores()
    executor = Processes(
        train_by_rank,
        runs_dir=tmp_path / "runs",
        logs_dir=tmp_path / "logs",
        workers=len(cores),
        cores=cores,
    )
    for rank in range(8, 8 + len(cores)):
        executor.submit((run_of(rank),))
    drain(executor)
    executor.close()
    logs = [p.read_text() for p in (tmp_path / "logs").glob("worker-*.log")]
    assert sorted(re.findall(r"cores (.*)", "".join(logs))) == sorted(f"[{c}]" for c in cores)


def test_threads_of_one_core_and_the_share_of_a_container_count_once(tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    for cpu in allowed:
        folder = tmp_path / f"cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{allowed[0]}-{allowed[-1]}\n")
    quota = tmp_path / "cpu.max"
    assert physical_cores(tmp_path, quota) == [allowed[0]]
    quota.write_text("max 100000\n")
    assert physical_cores(tmp_path / "none", quota) == allowed
    quota.write_text("150000 100000\n")
    assert physical_cores(tmp_path / "none", quota) == allowed[:1]
