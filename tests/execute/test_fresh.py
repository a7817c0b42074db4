"""Functions in fresh processes: their answers, their failures, their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from answers import (
    answer_late,
    blocked_signals,
    call,
    fail_after,
    name_or_raise,
    note_and_sleep,
    sleep_in_a_folder,
    wait_until,
)
from sweep.core.errors import RunFailed
from sweep.execute.fresh import end_fresh_processes, in_fresh_process, in_fresh_processes

pytestmark = pytest.mark.long


def test_children_hear_no_ctrl_c_of_the_terminal_from_their_first_moment_on() -> None:
    before = blocked_signals()
    assert signal.SIGINT in in_fresh_process(blocked_signals)
    assert blocked_signals() == before


def test_fresh_process_answers_raises_or_is_missed() -> None:
    name, process = in_fresh_process(name_or_raise, "이름").split()
    assert name == "이름"
    assert int(process) != os.getpid()
    with pytest.raises(RunFailed, match="no name"):
        in_fresh_process(name_or_raise, None)
    for name in ("die", "die while answering"):
        with pytest.raises(ChildProcessError, match="SIGKILL"):
            in_fresh_process(name_or_raise, name)


def test_fresh_processes_answer_in_the_order_of_their_calls() -> None:
    answers = in_fresh_processes(answer_late, [("first", 0.5), ("second", 0.0)])
    assert [answer.split()[0] for answer in answers] == ["first", "second"]
    assert answers[0].split()[1] != answers[1].split()[1]


def test_where_one_fresh_process_fails_the_others_are_ended(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with pytest.raises(RunFailed, match="no name"):
        in_fresh_processes(call, [(fail_after, note), (sleep_in_a_folder, note)])
    # Neither waited for nor killed: it had the time to tidy up.
    folder = note.read_text(encoding="utf-8")
    assert folder != "slept well"
    assert not Path(folder).exists()


def is_alive(note: Path) -> bool:
    process = int(note.read_text(encoding="utf-8"))
    return psutil.pid_exists(process) and psutil.Process(process).status() != "zombie"


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
        "from answers import note_and_sleep\n"
        "in_fresh_process(note_and_sleep, Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen([sys.executable, "-c", program, str(note)], env=environment)
    try:
        wait_until(lambda: note.exists() and note.stat().st_size > 0)
        assert is_alive(note)
    finally:
        driver.kill()
        driver.wait()
    wait_until(lambda: not is_alive(note))
    assert not is_alive(note)
