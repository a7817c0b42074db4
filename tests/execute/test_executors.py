"""One contract for all executors; and what happens when a worker process dies."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from sweep.core.errors import RunFailed
from sweep.core.recipe import Lora, Recipe
from sweep.execute.cores import physical_cores
from sweep.execute.fresh import end_fresh_processes, in_fresh_process, in_fresh_processes
from sweep.execute.in_process import InProcess
from sweep.execute.processes import Processes
from sweep.loop.ports import Executor, Handle, Pack, TrainFn
from sweep.loop.trial import Event, Finished, Outcome, Progress, Run, RunState, Started
from sweep.study.notes import ask_to_stop, asked_to_stop

ROOT = Path(__file__).parents[2]

Open = Callable[[TrainFn, Path], Executor]


def open_in_process(train: TrainFn, folder: Path) -> Executor:
    return InProcess(train, runs_dir=folder / "runs")


def open_processes(train: TrainFn, folder: Path) -> Executor:
    return Processes(train, runs_dir=folder / "runs", logs_dir=folder / "logs", workers=2)


def run_of(r: int) -> Run:
    return Run(0, {}, Recipe(lora=Lora(r=r)))


def scored(run: Run) -> Finished:
    return Finished(run.id, Outcome(RunState.COMPLETE, pearson=run.recipe.lora.r / 100))


def train_by_rank(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """Rank 1 fails with a reason, 2 with a bug, 3 runs out of memory; others score."""
    for run in pack:
        handle(Progress(run.id, 1, 2))
        rank = run.recipe.lora.r
        if rank == 1:
            raise RunFailed("diverged")
        if rank == 2:
            raise KeyError("eval_pearson")
        if rank == 3:
            raise MemoryError
        (runs_dir / run.id / "adapter").mkdir()
        print(f"threads {os.environ.get('OMP_NUM_THREADS')}")
        print(f"cores {sorted(os.sched_getaffinity(0))}")
        handle(scored(run))


def train_dying(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """Rank 1 kills its worker every time, rank 2 the first time only."""
    for run in pack:
        rank = run.recipe.lora.r
        mark = runs_dir / run.id / "died-before"
        if rank == 1 or (rank == 2 and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        handle(scored(run))


def die_after(sent: int) -> None:
    """Have this process be killed when so many bytes of its next message have been sent."""

    def cut(line: Connection, content: bytes) -> None:
        message = struct.pack("!i", len(content)) + bytes(content)
        os.write(line.fileno(), message[:sent])
        os.kill(os.getpid(), signal.SIGKILL)

    Connection._send_bytes = cut  # type: ignore[attr-defined]


def train_dying_in_a_message(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """As `train_dying`, in the middle of telling the score, or of saying how long that will be."""
    for run in pack:
        rank = run.recipe.lora.r
        mark = runs_dir / run.id / "died-before"
        if rank == 1 or (rank == 2 and not mark.exists()):
            mark.touch()
            die_after(2 if rank == 2 else 20)
        handle(scored(run))


def train_two_at_once(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """Memory is enough for two runs; says how many came."""
    print(f"size {len(pack)}")
    if len(pack) > 2:
        raise MemoryError
    for run in pack:
        handle(scored(run))


def train_slowly(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    handle(Progress(pack[0].id, 1, 2))
    time.sleep(60)


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
        opened.submit((run,))
    assert opened.num_open == 3
    events = drain(opened)
    for run in runs:
        kinds = [type(e) for e in events if e.run_id == run.id]
        assert kinds == [Started, Progress, Finished]
    assert outcomes(events)[runs[1].id].pearson == 0.16


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


def blocked_signals() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_children_hear_no_ctrl_c_of_the_terminal_from_their_first_moment_on() -> None:
    before = blocked_signals()
    assert signal.SIGINT in in_fresh_process(blocked_signals)
    assert blocked_signals() == before


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
def test_run_whose_worker_died_is_put_back_once(train: TrainFn, tmp_path: Path) -> None:
    executor = open_processes(train, tmp_path)
    unlucky, deadly, fine = run_of(2), run_of(1), run_of(8)
    for run in (unlucky, deadly, fine):
        executor.submit((run,))
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
    executor.submit((run_of(8),))
    events: list[Event] = []
    while not events:
        executor.work(events.append)
    start = time.monotonic()
    executor.close()
    assert time.monotonic() - start < 10


def test_bug_in_a_pack_fails_its_own_run_only(opened: Executor) -> None:
    fine, broken, diverged, behind = run_of(8), run_of(2), run_of(1), run_of(16)
    opened.submit((fine, broken, diverged, behind))
    found = outcomes(drain(opened))
    assert found[fine.id].pearson == 0.08
    assert found[broken.id].reason == "KeyError: 'eval_pearson'"
    assert found[diverged.id].reason == "diverged"
    assert found[behind.id].pearson == 0.16


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
    assert [found[run.id].pearson for run in runs] == [0.08, 0.16, 0.32]


def test_pack_that_does_not_fit_is_halved_and_the_next_ones_are_cut(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    executor = InProcess(train_two_at_once, runs_dir=tmp_path / "runs", pack_size=8)
    first, second = tuple(map(run_of, range(1, 9))), tuple(map(run_of, range(11, 15)))
    executor.submit(first)
    executor.submit(second)
    found = outcomes(drain(executor))
    assert {found[run.id].pearson for run in first + second} == {
        run.recipe.lora.r / 100 for run in first + second
    }
    sizes = [int(line.split()[1]) for line in capfd.readouterr().out.splitlines()]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]


def test_death_in_a_pack_costs_the_others_nothing(tmp_path: Path) -> None:
    # Nobody knows whose fault it was: the runs come back in halves, until one dies alone.
    executor = open_processes(train_dying, tmp_path)
    runs = tuple(map(run_of, (8, 4, 1, 16)))
    executor.submit(runs)
    found = outcomes(drain(executor))
    executor.close()
    assert {run.recipe.lora.r: found[run.id].pearson for run in runs} == {
        8: 0.08,
        4: 0.04,
        1: None,
        16: 0.16,
    }
    assert "died twice" in str(found[runs[2].id].reason)


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


def train_until_asked_to_stop(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    for run in pack:
        handle(Progress(run.id, 1, 2))
        while (reason := asked_to_stop(runs_dir / run.id)) is None:
            time.sleep(0.02)
        handle(Finished(run.id, Outcome(RunState.PRUNED, reason=reason)))


@pytest.mark.parametrize("open_executor", [open_in_process, open_processes])
def test_stop_reaches_a_run_and_no_later_attempt(open_executor: Open, tmp_path: Path) -> None:
    executor = open_executor(train_until_asked_to_stop, tmp_path)
    run = run_of(8)
    for reason in ("first", "second"):
        # A note of before the start is for nobody.
        ask_to_stop(tmp_path / "runs" / run.id, "stale")
        executor.submit((run,))
        events: list[Event] = []

        def handle(event: Event, reason: str = reason, events: list[Event] = events) -> None:
            events.append(event)
            if isinstance(event, Progress):
                executor.stop(run.id, reason)

        while executor.num_open:
            executor.work(handle)
        assert outcomes(events)[run.id].reason == reason
    executor.close()


def train_broken_while_one_is_to_stop(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    first = pack[0]
    if len(pack) > 1:
        handle(Progress(first.id, 1, 2))
        while asked_to_stop(runs_dir / first.id) is None:
            time.sleep(0.02)
        raise KeyError("broken before anybody has looked")
    reason = asked_to_stop(runs_dir / first.id)
    handle(Finished(first.id, Outcome(RunState.PRUNED, reason=reason)) if reason else scored(first))


@pytest.mark.parametrize("open_executor", [open_in_process, open_processes])
def test_stop_that_comes_while_a_pack_breaks_holds_for_its_retry(
    open_executor: Open, tmp_path: Path
) -> None:
    executor = open_executor(train_broken_while_one_is_to_stop, tmp_path)
    stopped, other = run_of(8), run_of(16)
    executor.submit((stopped, other))
    events: list[Event] = []

    def handle(event: Event) -> None:
        events.append(event)
        if isinstance(event, Progress):
            executor.stop(stopped.id, "pruned at step 1")

    while executor.num_open:
        executor.work(handle)
    found = outcomes(events)
    assert found[stopped.id].reason == "pruned at step 1"
    assert found[other.id].pearson == 0.16
    executor.close()


def name_or_raise(name: str | None) -> str:
    if name is None:
        raise RunFailed("no name")
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "die while answering":
        die_after(10)
    return f"{name} {os.getpid()}"


def test_fresh_process_answers_raises_or_is_missed() -> None:
    name, process = in_fresh_process(name_or_raise, "이름").split()
    assert name == "이름"
    assert int(process) != os.getpid()
    with pytest.raises(RunFailed, match="no name"):
        in_fresh_process(name_or_raise, None)
    for name in ("die", "die while answering"):
        with pytest.raises(ChildProcessError, match="SIGKILL"):
            in_fresh_process(name_or_raise, name)


def answer_late(name: str | None, seconds: float) -> str:
    time.sleep(seconds)
    return name_or_raise(name)


def test_fresh_processes_answer_in_the_order_of_their_calls() -> None:
    answers = in_fresh_processes(answer_late, [("first", 0.5), ("second", 0.0)])
    assert [answer.split()[0] for answer in answers] == ["first", "second"]
    assert answers[0].split()[1] != answers[1].split()[1]


def sleep_in_a_folder(note: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        note.write_text(folder, encoding="utf-8")
        time.sleep(60)


def fail_after(note: Path) -> None:
    wait_until(lambda: note.exists() and note.stat().st_size > 0)
    raise RunFailed("no name")


def call(function: Callable[[Path], None], note: Path) -> None:
    function(note)


def test_where_one_fresh_process_fails_the_others_are_ended(tmp_path: Path) -> None:
    note = tmp_path / "note"
    began = time.monotonic()
    with pytest.raises(RunFailed, match="no name"):
        in_fresh_processes(call, [(fail_after, note), (sleep_in_a_folder, note)])
    assert time.monotonic() - began < 30
    # Not killed: it had the time to tidy up.
    assert not Path(note.read_text(encoding="utf-8")).exists()


def note_and_sleep(note: Path) -> None:
    note.write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(120)


def is_alive(note: Path) -> bool:
    process = int(note.read_text(encoding="utf-8"))
    return psutil.pid_exists(process) and psutil.Process(process).status() != "zombie"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_fresh_processes_of_all_threads_can_be_ended_at_once(tmp_path: Path) -> None:
    notes = [tmp_path / "one", tmp_path / "other"]
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(in_fresh_process, note_and_sleep, note) for note in notes]
        wait_until(lambda: all(note.exists() and note.stat().st_size for note in notes))
        end_fresh_processes()
        for future in waiting:
            with pytest.raises(ChildProcessError):
                future.result(timeout=30)
    assert not any(is_alive(note) for note in notes)


def test_fresh_process_ends_with_its_driver_however_that_dies(tmp_path: Path) -> None:
    note = tmp_path / "child"
    program = (
        "import sys; from pathlib import Path\n"
        "from sweep.execute.fresh import in_fresh_process\n"
        "from tests.execute.test_executors import note_and_sleep\n"
        "in_fresh_process(note_and_sleep, Path(sys.argv[1]))"
    )
    driver = subprocess.Popen([sys.executable, "-c", program, str(note)], cwd=ROOT)
    try:
        wait_until(lambda: note.exists() and note.stat().st_size > 0)
        assert is_alive(note)
    finally:
        driver.kill()
        driver.wait()
    wait_until(lambda: not is_alive(note))
    assert not is_alive(note)
