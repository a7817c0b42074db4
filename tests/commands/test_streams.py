"""Consoles of every code page, readers that leave, and no console at all."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from command_line import states, table, tiny_sweep
from sweep_processes import PATIENCE, end_all, start, wait_for

#: One character that each code page has, and others that it lacks.
TEXT = "café 한글 é → 😀"
CODE_PAGES = ("cp949", "cp1252:strict", "ascii")


@pytest.fixture(autouse=True)
def no_process_outlives_its_test() -> Iterator[None]:
    yield
    end_all()


def sweep(
    *arguments: str, folder: Path, redirected: str = "", code_page: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """`python -m sweep`, started by a shell that redirects its streams."""
    environment = {**os.environ, "PYTHONIOENCODING": code_page} if code_page else os.environ
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "sweep", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=120,
    )


@pytest.mark.long
@pytest.mark.parametrize("code_page", CODE_PAGES)
def test_data_are_utf8_and_messages_end_no_command(code_page: str, tmp_path: Path) -> None:
    shown = sweep("--cfg", f"name={TEXT}", folder=tmp_path, code_page=code_page)
    assert shown.returncode == 0
    assert f"name: {TEXT}" in shown.stdout.decode("utf-8").replace('"', "").replace(
        "\\U0001F600", "😀"
    )
    assert b"as UTF-8, not as" in shown.stderr
    refused = sweep(f"nonsense='{TEXT}'", folder=tmp_path, code_page=code_page)
    said = refused.stderr.decode(code_page.partition(":")[0])
    assert (refused.returncode, "Traceback" in said) == (2, False)
    assert "way out:" in said


@pytest.mark.parametrize("code_page", ["cp949", "ascii"])
def test_predictions_are_whole_on_every_code_page(
    code_page: str, copied_study: Path, tmp_path: Path
) -> None:
    pairs = pd.DataFrame(
        {"sentence1": [TEXT, "고양이"], "sentence2": ["cat", TEXT], "score": [1, 2]}
    )
    pairs.to_json(tmp_path / "쌍.jsonl", orient="records", lines=True, force_ascii=False)
    variables = {**os.environ, "PYTHONIOENCODING": code_page}
    best = str(copied_study / "best")
    into, aside = tmp_path / "scored.csv", tmp_path / "said"
    with into.open("wb") as out, aside.open("wb") as err:
        files = (0, out.fileno(), err.fileno())
        done = start(["predict", best, "쌍.jsonl"], tmp_path, variables=variables, files=files)
        code, said = done.wait(PATIENCE), aside.read_text(code_page)
    assert code == 0, said
    scored = pd.read_csv(into, encoding="utf-8")
    assert scored["text_a"].tolist() == [TEXT, "고양이"]
    assert scored["prediction"].notna().all()
    assert "as UTF-8, not as" in said
    for verb in (["status"], ["report"], ["compare", str(copied_study)]):
        shown = start([*verb, str(copied_study)], tmp_path, variables=variables)
        _, said = shown.communicate()
        assert (shown.returncode, "Traceback" in said) == (0, False), said


def unread(*arguments: str, folder: Path) -> tuple[int, bytes]:
    """The same where the reader has left before anything was printed; exit code and errors."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.mark.long
@pytest.mark.parametrize(("argument", "code"), [("--cfg", 0), ("--help", 0), ("nonsense=1", 2)])
def test_no_reader_is_no_trouble(argument: str, code: int, tmp_path: Path) -> None:
    for redirected in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = sweep(argument, folder=tmp_path, redirected=redirected)
        assert (done.returncode, done.stdout) == (code, b"")
    found, errors = unread(argument, folder=tmp_path)
    assert (found, b"Traceback" in errors, b"Exception ignored" in errors) == (code, False, False)


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("argument", ["--cfg", "--help"])
def test_full_disk_is_told_once(argument: str, tmp_path: Path) -> None:
    done = sweep(argument, folder=tmp_path, redirected="> /dev/full")
    assert done.returncode == 1
    assert done.stderr.count(b"No space left on device") == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.long
def test_arguments_in_another_encoding_are_refused(tmp_path: Path) -> None:
    broken = os.fsdecode("한글".encode("cp949"))
    done = sweep(f"data.train={broken}.csv", folder=tmp_path)
    assert done.returncode == 2
    assert b"encoding of the shell" in done.stderr


@pytest.mark.trains
@pytest.mark.long
@pytest.mark.parametrize("executor", ["executor=in_process", "executor.workers=1"])
def test_sweep_goes_on_when_nobody_reads(
    executor: str, tmp_path: Path, tiny_model: Path, pair_files: dict[str, Path]
) -> None:
    arguments = tiny_sweep(tiny_model, pair_files)
    arguments[arguments.index("executor=in_process")] = executor
    arguments.append("executor.threads=1")
    if executor == "executor=in_process":
        process = start(arguments, tmp_path, files=(0, None, None))
    else:
        process = start(arguments, tmp_path)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
    process.communicate()
    study = tmp_path / "results" / "작은_실험"
    assert process.returncode == 0
    assert states(study) == {"complete"}
    assert len(table(study)) == 4
    assert (study / "best" / "README.md").is_file()
    for log in study.glob("logs/*.log"):
        assert "== " in log.read_text(encoding="utf-8")


@pytest.mark.trains
@pytest.mark.long
def test_terminal_that_closes_ends_the_sweep_in_order(
    tmp_path: Path, tiny_model: Path, pair_files: dict[str, Path]
) -> None:
    arguments = [
        *tiny_sweep(tiny_model, pair_files),
        "trainer.max_steps=4000",
        "trainer.eval_steps=20",
    ]
    terminal, there = pty.openpty()
    process = start(arguments, tmp_path, files=(there, there, there), terminal=True)
    os.close(there)
    study = tmp_path / "results" / "작은_실험"
    try:
        os.set_blocking(terminal, False)
        wait_for(lambda: _read(terminal) and list(study.glob("runs/*/rung.pt")) != [], process)
    finally:
        os.close(terminal)
    assert process.wait(PATIENCE) == 128 + signal.SIGHUP
    assert states(study) == {"queued"}


def _read(terminal: int) -> bool:
    """A terminal that nobody reads would stop who prints."""
    try:
        os.read(terminal, 1 << 16)
    except BlockingIOError:
        return True
    return True
