"""Functions in fresh processes: their answers, their failures, their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from executors import die_after
from sweep.core.errors import RunFailed
from sweep.execute.fresh import end_fresh_processes, in_fresh_process, in_fresh_processes

ROOT = Path(__file__).parents[2]


def blocked_signals() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_children_hear_no_ctrl_c_of_the_terminal_from_their_first_moment_on() -> None:
    before = blocked_signals()
    assert signal.SIGINT in in_fresh_process(blocked_signals)
    assert blocked_signals() == before


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
        "from tests.execute.test_fresh import note_and_sleep\n"
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
