"""Servers that are gone, slow, or not to be asked; what is sent later. Servers are made up."""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wandb

from sweep.core.errors import Interrupted
from sweep.core.recipe import Lora, Recipe
from sweep.loop.ports import Totals
from sweep.loop.trial import Evaluation, Outcome, Progress, Run, RunState, Started
from wandb_files import all_logged, records_of
from wandb_watching import STUDY, Listener, evaluated, finished, make_run, make_watcher, play

pytestmark = pytest.mark.usefixtures("wandb_at_home_nowhere")


KEY = "0123456789" * 4

#: Port of the discard service: connections to it are refused.
NO_SERVER = "http://127.0.0.1:9"


# Sending later.


@pytest.mark.long
def test_sync_script_sends_exactly_the_unsent_runs(study: Path) -> None:
    run = make_run(0)
    listener = Listener()
    killed = study / "wandb" / "offline-run-20200101_000000-killed" / "run-killed.wandb"
    sent = study / "wandb" / "offline-run-20200101_000001-sent" / "run-sent.wandb"
    for path, content in ((killed, b":W&B\xe1\xbe\x00"), (sent, b"x" * 100)):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    sent.with_name("run-sent.wandb.synced").touch()
    play(make_watcher(study, listener), (run, Started(run.id, "w0")), (run, finished(run)))

    script = study / "wandb" / "sync.sh"
    assert script.stat().st_mode & stat.S_IXUSR
    assert listener.lines == [f"wandb has yet to get some runs: sh {shlex.quote(str(script))}"]
    dry_run = subprocess.run(
        ["sh", str(script), "--dry-run"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    listed = [line.split()[-1] for line in dry_run.stderr.splitlines() if ".wandb" in line]
    expected = [f"{found.folder.name}/run-{found.run.run_id}.wandb" for found in all_logged(study)]
    assert sorted(listed) == sorted(expected)
    assert len(listed) == 2
    assert "-sent" not in script.read_text()


# Servers that are gone, slow, or not to be asked.


@pytest.mark.long
def test_lost_server_is_said_once_and_runs_go_offline(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", NO_SERVER)
    a, b = make_run(0), make_run(1, r=16)
    listener = Listener()
    watcher = make_watcher(study, listener, mode="online", timeout_s=2.0)
    watcher.opened(Totals(STUDY, 2))
    for run in (a, b):
        watcher.run_event(run, Started(run.id, "w0"))
        watcher.run_event(run, finished(run))
    watcher.closed()
    watcher.finish()
    assert capfd.readouterr() == ("", "")  # what is said goes through `say`

    offline = [found for found in all_logged(study) if found.folder.name.startswith("offline-")]
    assert [found.run.display_name for found in offline] == [a.name, b.name, STUDY]
    assert sum("server is lost" in line for line in listener.lines) == 1
    script = (study / "wandb" / "sync.sh").read_text()
    assert all(found.folder.name in script for found in offline)
    assert script.count("run-") == len(offline)


class _RunsOnly(BaseHTTPRequestHandler):
    """As much of a wandb server as it takes to start a run; all else is not found."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked.get("variables", {}).get("name")
        entity = {"id": "e", "name": "team"}
        project = {"id": "p", "name": "lora", "entity": entity}
        bucket = {"id": "b", "name": name, "config": "{}", "project": project}
        answer = json.dumps({"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}})
        found = "upsertBucket" in asked.get("query", "")
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(answer.encode() if found else b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.long
def test_server_lost_on_the_way_leaves_the_run_on_disk(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _RunsOnly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    a, b = make_run(0), make_run(1, r=16)
    listener = Listener()
    watcher = make_watcher(study, listener, mode="online", timeout_s=2.0)
    watcher.opened(Totals(STUDY, 2))
    for run in (a, b):
        watcher.run_event(run, Started(run.id, "w0"))
    deadline = time.monotonic() + 20
    while len(listener.urls) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
        watcher.run_event(a, Progress(a.id, 1, 10))
    server.shutdown()
    server.server_close()
    for run in (a, b):
        watcher.run_event(run, evaluated(run, 10, 0.8))
        watcher.run_event(run, finished(run, curve={5: 0.4, 10: 0.8}))
    watcher.closed()
    watcher.finish()

    assert [run_id for run_id, _ in listener.urls] == [a.id, b.id]
    assert all("/team/lora/runs/" in url for _, url in listener.urls)
    assert sum("server is lost" in line for line in listener.lines) == 1
    # Whole and once, under the ids that the server knows, beside what it was to get live.
    logged = all_logged(study)
    offline = [found for found in logged if found.folder.name.startswith("offline-")]
    assert [found.run.display_name for found in offline] == [a.name, b.name, STUDY]
    for run, found in zip((a, b), offline, strict=False):
        assert [row["dev/pearson"] for row in found.history] == [0.4, 0.8]
        assert found.summary["pearson"] == 0.8
        assert any(
            url.endswith(found.run.run_id) for run_id, url in listener.urls if run_id == run.id
        )
    script = (study / "wandb" / "sync.sh").read_text()
    assert all(found.folder.name in script for found in offline)
    assert script.count("run-") == 3


def run_python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(__file__).parents[2] / "src")
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": source, **variables},
    )


_SWEEP = """
import os, sys, time
from pathlib import Path
import pandas as pd
from sweep.core.recipe import Lora, Recipe
from sweep.loop.ports import Totals
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, RunState
from sweep.watch.wandb_log import wandb_watcher
from sweep.watch.wandb_mode import resolve_mode
from sweep.watch.wandb_target import Target
from sweep.watch.tracked_values import StudyLog
folder = Path(sys.argv[1])
mode, _ = resolve_mode("auto")
table = pd.DataFrame({"state": ["complete"], "pearson": [0.5]})
curve = (Evaluation(5, 0.5, 0.7, 0.6, 0.1),)
watcher = wandb_watcher(
    folder, mode=mode, target=Target("p"), timeout_s=2.0, searched_keys=(),
    read_study=lambda: StudyLog(table), on_url=print, say=print,
)
watcher.opened(Totals("스터디", 1))
"""

_KILLED = """
for rank in range(1, 7):
    run = Run(rank, {}, Recipe(lora=Lora(r=rank)))
    outcome = Outcome(RunState.COMPLETE, score=0.7, evaluations=curve, train_seconds=rank / 7)
    watcher.run_event(run, Finished(run.id, outcome))
while len(list(folder.glob("wandb/offline-*/*.wandb"))) <= int(sys.argv[2]):
    time.sleep(0.001)
os.kill(os.getpid(), 9)
"""


@pytest.mark.long
def test_process_ends_soon_when_the_server_never_answers(study: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        # Left to itself, wandb waits longer than `run_python` does.
        process = run_python(
            _SWEEP + "watcher.closed(); watcher.finish()",
            str(study),
            WANDB_API_KEY=KEY,
            WANDB_BASE_URL=url,
        )
    assert process.returncode == 0
    assert process.stderr == ""
    assert "server is lost" in process.stdout
    (found,) = [f for f in all_logged(study) if f.folder.name.startswith("offline-")]
    assert found.summary["best_pearson"] == 0.5


@pytest.mark.long
@pytest.mark.parametrize("written", [0, 3])
def test_what_a_killed_program_owed_is_written_once_at_the_next_start(
    written: int, study: Path
) -> None:
    assert run_python(_SWEEP + _KILLED, str(study), str(written)).returncode == -9
    curve = (Evaluation(5, 0.5, 0.7, 0.6, 0.1),)
    for _ in range(2):  # the second time there is nothing to do
        watcher = make_watcher(study, Listener())
        watcher.opened(Totals("스터디", 6))
        for rank in range(1, 7):
            run = Run(rank, {}, Recipe(lora=Lora(r=rank)))
            seconds = rank / 7
            outcome = Outcome(
                RunState.COMPLETE, score=0.7, evaluations=curve, train_seconds=seconds
            )
            watcher.run_reused(run, outcome)
        watcher.closed()
        watcher.finish()
        *runs, table = all_logged(study)
        assert table.summary["best_pearson"] == 0.8
        assert len({found.config["run_id"] for found in runs}) == len(runs) == 6
        assert all([row["dev/pearson"] for row in found.history] == [0.7] for found in runs)
        assert all((found.summary["pearson"], found.exit_code) == (0.7, 0) for found in runs)
        kinds = {
            record.WhichOneof("record_type")
            for found in runs
            for path in found.folder.glob("*.wandb")
            for record in records_of(path)
        }
        assert not kinds & {"output", "output_raw", "stats"}  # neither the terminal nor the machine


def test_wandb_that_hangs_is_left_and_owed(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("sweep.watch.tracking._HUNG_SECONDS", 0.3)
    monkeypatch.setattr(wandb, "init", lambda **_: release.wait(60))
    run, listener = make_run(0), Listener()
    play(make_watcher(study, listener), (run, Started(run.id, "w0")), (run, finished(run)))
    release.set()
    assert "wandb has not moved" in listener.lines[0]
    assert "wandb lacks 1 run: the next start writes them" in listener.lines[1]


@pytest.mark.long
def test_interrupted_wait_ends_in_order(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(left: int) -> None:
        if left:
            raise Interrupted(130)

    release, real = threading.Event(), wandb.init
    monkeypatch.setattr(wandb, "init", lambda **given: (release.wait(60), real(**given))[1])
    run, listener = make_run(0), Listener()
    watcher = make_watcher(study, listener, show_progress=interrupt)
    watcher.opened(Totals(STUDY, 1))
    watcher.run_event(run, finished(run))
    watcher.closed()
    with pytest.raises(Interrupted):
        watcher.finish()
    assert "python -m sweep wandb" in listener.lines[-1]
    release.set()


def test_crash_inside_wandb_is_said_once_and_made_up_for_at_the_next_start(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(**_: Any) -> None:
        raise RuntimeError("service process died\nmore lines")

    real = wandb.init
    monkeypatch.setattr(wandb, "init", crash)
    a, b = make_run(0), make_run(1, r=16)
    listener = Listener()
    steps = ((a, finished(a)), (b, finished(b)))
    play(make_watcher(study, listener), *steps)
    said, lacks = listener.lines
    assert said == "wandb stopped (service process died); the sweep goes on without it."
    assert "wandb lacks 2 runs" in lacks
    monkeypatch.setattr(wandb, "init", real)
    play(make_watcher(study, Listener()), *steps)
    assert [found.run.display_name for found in all_logged(study)] == [a.name, b.name, STUDY]


def test_service_that_dies_once_costs_nothing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = wandb.init, []

    def die_first(**given: Any) -> Any:
        calls.append(given["name"])
        if len(calls) == 1:
            raise ConnectionResetError("wandb-core is gone")
        return real(**given)

    monkeypatch.setattr(wandb, "init", die_first)
    run, listener = make_run(0), Listener()
    play(make_watcher(study, listener), (run, finished(run, curve={5: 0.4})))
    only, _ = all_logged(study)
    assert [row["dev/pearson"] for row in only.history] == [0.4]
    assert not any("stopped" in line for line in listener.lines)


@pytest.mark.long
def test_module_does_not_import_wandb() -> None:
    code = "import sys, sweep.watch.wandb_log; sys.exit('wandb' in sys.modules)"
    assert run_python(code).returncode == 0
