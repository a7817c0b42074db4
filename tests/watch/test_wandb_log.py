"""The wandb watcher against the real wandb: offline files are read back, servers are made up."""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import wandb
from wandb.proto import wandb_internal_pb2

import studies
from sweep.core.errors import TrackingError
from sweep.core.recipe import Lora, Recipe, Trainer
from sweep.execute.boundary import Boundary
from sweep.loop.ports import Handle, Pack, Totals
from sweep.loop.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Outcome,
    Paused,
    Progress,
    Run,
    RunState,
    Started,
)
from sweep.watch.report import study_media
from sweep.watch.wandb_log import WandbWatcher
from sweep.watch.wandb_setup import resolve_mode
from sweep.watch.wandb_values import StudyLog

STUDY = "한국어 스터디"
KEY = "0123456789" * 4
#: Port of the discard service: connections to it are refused.
NO_SERVER = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _wandb_at_home_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no settings, no files of the machine's user; a fresh wandb for every test."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home data"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield
    wandb.teardown()


# Reading `.wandb` files: a log of 32 KiB blocks, each record in pieces with a header of 7 bytes.


def records_of(path: Path) -> list[Any]:
    protocol: Any = wandb_internal_pb2
    content, position, piece = path.read_bytes(), 7, b""
    records = []
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, size, kind = struct.unpack("<IHB", content[position : position + 7])
        piece += content[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            records.append(protocol.Record.FromString(piece))
            piece = b""
    return records


@dataclass
class Logged:
    """What a `.wandb` file says."""

    folder: Path
    run: Any = None
    exit_code: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def _items(items: Any) -> dict[str, Any]:
    return {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for item in items
        if item.key != "_wandb" and "_wandb" not in item.nested_key
    }


def logged(path: Path) -> Logged:
    found = Logged(path.parent)
    for record in records_of(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= _items(record.run.config.update)
        elif kind == "history":
            found.history.append(_items(record.history.item))
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def all_logged(study: Path) -> list[Logged]:
    """By display name, the oldest first; counts files, since wandb may leave empty folders."""
    files = sorted((study / "wandb").glob("*run-*/*.wandb"))
    runs = [run for run in map(logged, files) if run.run is not None]
    return sorted(runs, key=lambda found: str(found.run.display_name))


# Building a sweep.


def make_run(trial: int, *, r: int = 8, seed: int = 0) -> Run:
    recipe = Recipe(
        lora=Lora(r=r, lora_alpha=16, lora_dropout=0.1, target_modules=("query", "value")),
        trainer=Trainer(learning_rate=2e-3),
        seed=seed,
    )
    return Run(trial, {"rank": f"r{r}"}, recipe)


def evaluated(run: Run, step: int, pearson: float) -> Evaluated:
    return Evaluated(run.id, Evaluation(step, step / 10, pearson, pearson - 0.1, 0.5))


def finished(run: Run, pearson: float = 0.8) -> Finished:
    outcome = Outcome(
        RunState.COMPLETE,
        pearson=pearson,
        pearson_last=pearson - 0.05,
        best_step=10,
        spearman=pearson - 0.1,
    )
    return Finished(run.id, outcome)


def failed(run: Run) -> Finished:
    return Finished(run.id, Outcome(RunState.FAILED, reason="CUDA out of memory"))


def make_table() -> pd.DataFrame:
    """Like `table.csv`: missing values in columns of every kind."""
    table = pd.DataFrame(
        {
            "trial": [0, 1, 2],
            "state": ["complete", "failed", "complete"],
            "reason": [None, "CUDA out of memory", None],
            "pearson": [0.8, None, 0.7],
            "best_step": [10, None, 20],
            "target": ["qv", "qv", 3],
        }
    )
    return table.astype({"best_step": "Int64"})


class Listener:
    """The other side of a watcher: what it said and when."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.urls: list[tuple[str, str]] = []
        self.threads: set[threading.Thread] = set()

    def say(self, line: str) -> None:
        self.threads.add(threading.current_thread())
        self.lines.append(line)

    def on_url(self, run_id: str, url: str) -> None:
        self.urls.append((run_id, url))


def make_watcher(folder: Path, listener: Listener, **changes: Any) -> WandbWatcher:
    settings: dict[str, Any] = {
        "mode": "offline",
        "project": "lora",
        "entity": None,
        "timeout_s": 30.0,
        "searched_keys": ("lora.r", "trainer.learning_rate", "data.max_length"),
        "read_study": lambda: StudyLog(make_table()),
        "on_url": listener.on_url,
        "say": listener.say,
    }
    return WandbWatcher(folder, **(settings | changes))


def play(watcher: WandbWatcher, *steps: tuple[Run, Event]) -> None:
    watcher.opened(Totals(STUDY, 3))
    for run, event in steps:
        watcher.run_event(run, event)
    watcher.closed()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "결과 results" / "스터디 one"


# What is logged.


def test_interleaved_runs_stay_apart(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Set by some cluster scripts; taken at its word, it would lead all runs into one.
    monkeypatch.setenv("WANDB_RUN_ID", "same")
    a, b = make_run(0, r=4), make_run(1, r=16)
    play(
        make_watcher(study, Listener()),
        (a, Started(a.id, "w0")),
        (b, Started(b.id, "w1")),
        (a, evaluated(a, 5, 0.1)),
        (b, evaluated(b, 5, 0.2)),
        (b, evaluated(b, 10, 0.6)),
        (a, evaluated(a, 10, 0.8)),
        (b, finished(b, 0.6)),
        (a, finished(a, 0.8)),
    )

    first, second, _ = all_logged(study)
    assert [first.run.display_name, second.run.display_name] == [a.name, b.name]
    assert first.run.run_id != second.run.run_id
    assert {first.run.run_group, second.run.run_group} == {STUDY}
    assert [first.config["r"], second.config["r"]] == [4, 16]
    curves = [
        [(row["_step"], row["dev/pearson"]) for row in run.history] for run in (first, second)
    ]
    assert curves == [[(5, 0.1), (10, 0.8)], [(5, 0.2), (10, 0.6)]]
    assert [first.summary["pearson"], second.summary["pearson"]] == [0.8, 0.6]


def test_paused_run_goes_on_in_the_same_wandb_run(study: Path) -> None:
    run = make_run(0)
    play(
        make_watcher(study, Listener()),
        (run, Started(run.id, "w0")),
        (run, evaluated(run, 5, 0.1)),
        (run, Paused(run.id, Outcome(RunState.PRUNED))),
        (run, Started(run.id, "w1")),
        (run, evaluated(run, 5, 0.1)),
        (run, evaluated(run, 10, 0.8)),
        (run, finished(run, 0.8)),
    )
    only, _ = all_logged(study)
    assert [(row["_step"], row["dev/pearson"]) for row in only.history] == [(5, 0.1), (10, 0.8)]
    assert only.summary["state"] == "complete"


def test_run_carries_flat_config_history_and_best_score(study: Path) -> None:
    run = make_run(7, seed=3)
    play(
        make_watcher(study, Listener()),
        (run, Started(run.id, "w0")),
        (run, evaluated(run, 10, 0.8)),
        (run, finished(run)),
    )

    found = all_logged(study)[0]
    assert found.config == {
        "study": STUDY,
        "r": 8,
        "alpha": 16,
        "dropout": 0.1,
        "scaling": 2.0,
        "targets": "query+value",
        "learning_rate": 2e-3,
        "data_max_length": 128,
        "seed": 3,
        "trial": 7,
        "run_id": run.id,
        "config_id": run.recipe.config_id,
    }
    scores = {key: value for key, value in found.history[0].items() if key.startswith("dev/")}
    assert scores == {
        "dev/pearson": 0.8,
        "dev/spearman": pytest.approx(0.7),
        "dev/loss": 0.5,
        "dev/epoch": 1.0,
    }
    assert found.summary["state"] == "complete"
    assert found.summary["pearson_last"] == pytest.approx(0.75)
    assert found.summary["best_step"] == 10
    assert "reason" not in found.summary
    assert found.exit_code == 0


def test_failed_run_is_logged_as_failed_even_if_it_never_started(study: Path) -> None:
    run = make_run(0)
    play(make_watcher(study, Listener()), (run, failed(run)))

    found = all_logged(study)[0]
    assert found.exit_code == 1
    assert found.summary["state"] == "failed"
    assert found.summary["reason"] == "CUDA out of memory"


def test_second_attempt_gets_its_own_wandb_run(study: Path) -> None:
    run = make_run(0)
    play(
        make_watcher(study, Listener()),
        (run, Started(run.id, "w0")),
        (run, evaluated(run, 5, 0.3)),
        (run, Started(run.id, "w1")),  # the first worker died
        (run, evaluated(run, 5, 0.4)),
        (run, finished(run)),
    )

    attempts = sorted(all_logged(study)[:2], key=lambda found: found.history[0]["dev/pearson"])
    # wandb itself calls a run failed by its exit code.
    assert [found.exit_code for found in attempts] == [0, 0]
    assert [found.summary["state"] for found in attempts] == ["queued", "complete"]
    assert attempts[0].summary["reason"] == "began again"
    assert [found.history[0]["dev/pearson"] for found in attempts] == [0.3, 0.4]
    assert [found.config["run_id"] for found in attempts] == [run.id, run.id]
    assert attempts[0].run.run_id != attempts[1].run.run_id


@pytest.mark.parametrize("reason", ["memory", "one bad setting"])
@pytest.mark.parametrize("evaluations", [0, 1])
def test_pack_that_is_trained_in_parts_is_no_failure_of_its_runs(
    study: Path, tmp_path: Path, reason: str, evaluations: int
) -> None:
    """One wandb run each; a second one only where the first has a history."""
    runs = {run.id: run for run in (make_run(0, r=4), make_run(1, r=8))}

    def train(pack: Pack, folder: Path, handle: Handle) -> None:
        for run in pack[: 2 * evaluations]:
            handle(evaluated(run, 5, 0.1))
        if len(pack) > 1:
            raise MemoryError if reason == "memory" else ValueError(reason)
        handle(finished(pack[0]))

    watcher = make_watcher(study, Listener())
    watcher.opened(Totals(STUDY, 2))
    boundary = Boundary(train, runs_dir=tmp_path / "runs", worker="w0")
    boundary.attempt(tuple(runs.values()), lambda e: watcher.run_event(runs[e.run_id], e))
    watcher.closed()

    found = all_logged(study)[:-1]
    states = [(one.summary["state"], one.summary.get("reason")) for one in found]
    assert states.count(("complete", None)) == 2
    assert states.count(("queued", "began again")) == 2 * evaluations
    assert len(found) == 2 + 2 * evaluations


def test_interrupted_run_is_closed_as_not_done(study: Path) -> None:
    run = make_run(0)
    play(make_watcher(study, Listener()), (run, Started(run.id, "w0")))

    found = all_logged(study)[0]
    assert found.exit_code == 1
    assert found.summary["state"] == "queued"


def test_study_run_holds_the_table_with_missing_values(study: Path) -> None:
    reused = make_run(0)
    watcher = make_watcher(study, Listener())
    watcher.opened(Totals(STUDY, 3))
    watcher.run_reused(reused, finished(reused).outcome)
    watcher.closed()

    (found,) = all_logged(study)  # the reused run is not logged again
    assert (found.run.display_name, found.run.job_type) == (STUDY, "study")
    assert found.summary["best_pearson"] == 0.8
    assert (found.summary["num_complete"], found.summary["num_failed"]) == (2, 1)
    (path,) = (found.folder / "files").rglob("*.table.json")
    content = json.loads(path.read_text())
    assert content["columns"] == list(make_table().columns)
    assert content["data"] == [
        [0, "complete", None, 0.8, 10, "qv"],
        [1, "failed", "CUDA out of memory", None, None, "qv"],
        [2, "complete", None, 0.7, 20, 3],
    ]
    assert found.exit_code == 0


def test_study_run_holds_the_tables_and_figures_of_the_report(study: Path) -> None:
    studies.study(study)
    studies.with_findings(study)
    tables, figures = study_media(study)
    log = StudyLog(make_table(), tables, figures)
    watcher = make_watcher(study, Listener(), read_study=lambda: log)
    play(watcher)

    (found,) = all_logged(study)
    (history,) = found.history
    kinds = {key.removesuffix("/_type"): kind for key, kind in history.items() if "_type" in key}
    logged_tables = {name for name, kind in kinds.items() if kind == "table-file"}
    assert logged_tables == {"runs", "leaderboard", "effects", "importance"}
    plots = {name for name, kind in kinds.items() if kind == "plotly-file"}
    assert plots == {f"report/{name}" for name in figures}
    assert len(plots) > 5
    board, curves = (
        json.loads((found.folder / "files" / history[f"{name}/path"]).read_text(encoding="utf-8"))
        for name in ("leaderboard", "report/curves")
    )
    assert len(board["data"]) == len(tables["leaderboard"]) == 8
    assert [y for trace in curves["data"] for y in trace["y"] if y is not None]
    assert '"@' not in json.dumps(curves)


def test_wandb_stays_in_the_study_and_off_the_terminal(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, environment = make_run(0), dict(os.environ)
    listener = Listener()
    watcher = make_watcher(study, listener)
    watcher.opened(Totals(STUDY, 1))
    watcher.run_event(run, Started(run.id, "w0"))
    watcher.run_event(run, finished(run))
    watcher.closed()

    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == environment
    assert list((tmp_path / "cwd").iterdir()) == []
    assert [path.name for path in study.iterdir()] == ["wandb"]
    assert not (study / "wandb" / "wandb").exists()
    assert not (tmp_path / "home data").exists()
    assert listener.threads == {threading.current_thread()}
    assert listener.urls == []


# Sending later.


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


def test_lost_server_is_said_once_and_runs_go_offline(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", NO_SERVER)
    a, b = make_run(0), make_run(1, r=16)
    listener = Listener()
    watcher = make_watcher(study, listener, mode="online", timeout_s=2.0)
    start = time.monotonic()
    watcher.opened(Totals(STUDY, 2))
    for run in (a, b):
        watcher.run_event(run, Started(run.id, "w0"))
        watcher.run_event(run, finished(run))
    assert time.monotonic() - start < 1.5  # the loop doesn't wait
    watcher.closed()
    assert time.monotonic() - start < 10
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
        watcher.run_event(run, finished(run))
    start = time.monotonic()
    watcher.closed()
    seconds = time.monotonic() - start

    assert [run_id for run_id, _ in listener.urls] == [a.id, b.id]
    assert all("/team/lora/runs/" in url for _, url in listener.urls)
    assert seconds < 10
    assert sum("server is lost" in line for line in listener.lines) == 1
    first, second, *tables = all_logged(study)
    assert [found.run.display_name for found in (first, second)] == [a.name, b.name]
    assert [found.history[0]["dev/pearson"] for found in (first, second)] == [0.8, 0.8]
    # The table was tried online, in vain, and then logged offline: only that one is to be sent.
    (table,) = [found for found in tables if found.folder.name.startswith("offline-")]
    script = (study / "wandb" / "sync.sh").read_text()
    assert all(found.folder.name in script for found in (first, second, table))
    assert script.count("run-") == 3
    assert script.index(first.folder.name) < script.index(table.folder.name)  # oldest first


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
from sweep.loop.ports import Handle, Pack, Totals
from sweep.core.recipe import Recipe
from sweep.loop.trial import Evaluated, Evaluation, Run, Started
from sweep.watch.wandb_log import WandbWatcher
from sweep.watch.wandb_setup import resolve_mode
from sweep.watch.wandb_values import StudyLog
folder = Path(sys.argv[1])
mode, _ = resolve_mode("auto")
table = pd.DataFrame({"state": ["complete"], "pearson": [0.5]})
watcher = WandbWatcher(
    folder, mode=mode, project="p", entity=None, timeout_s=2.0, searched_keys=(),
    read_study=lambda: StudyLog(table), on_url=print, say=print,
)
watcher.opened(Totals("스터디", 1))
"""

_KILLED = """
run = Run(0, {}, Recipe())
watcher.run_event(run, Started(run.id, "w0"))
watcher.run_event(run, Evaluated(run.id, Evaluation(5, 0.5, 0.7, 0.6, 0.1)))
deadline = time.monotonic() + 10  # left to itself, wandb writes every 15 s
while time.monotonic() < deadline:
    if any(b"dev/pearson" in p.read_bytes() for p in folder.glob("wandb/offline-*/*.wandb")):
        os.kill(os.getpid(), 9)
    print("a live view", flush=True)
    time.sleep(0.05)
"""


def test_process_ends_soon_when_the_server_never_answers(study: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        start = time.monotonic()
        process = run_python(
            _SWEEP + "watcher.closed()", str(study), WANDB_API_KEY=KEY, WANDB_BASE_URL=url
        )
        seconds = time.monotonic() - start
    assert process.returncode == 0
    assert process.stderr == ""
    assert "server is lost" in process.stdout
    assert seconds < 15
    (found,) = [f for f in all_logged(study) if f.folder.name.startswith("offline-")]
    assert found.summary["best_pearson"] == 0.5


def test_killed_sweep_leaves_its_history_and_nothing_else_on_disk(study: Path) -> None:
    process = run_python(_SWEEP + _KILLED, str(study))
    assert process.returncode == -9
    (found,) = all_logged(study)
    assert [row["dev/pearson"] for row in found.history] == [0.7]
    assert found.exit_code is None
    (path,) = found.folder.glob("*.wandb")
    kinds = {record.WhichOneof("record_type") for record in records_of(path)}
    assert not kinds & {"output", "output_raw", "stats"}  # neither the terminal nor the machine

    watcher = make_watcher(study, Listener())  # the next start lists it
    play(watcher)
    assert found.folder.name in (study / "wandb" / "sync.sh").read_text()


def test_hanging_init_costs_no_more_than_the_timeout(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(wandb, "init", lambda **_: release.wait(60))
    run = make_run(0)
    listener = Listener()
    watcher = make_watcher(study, listener, timeout_s=0.5)
    start = time.monotonic()
    play(watcher, (run, Started(run.id, "w0")), (run, finished(run)))
    seconds = time.monotonic() - start
    release.set()

    assert seconds < 10
    assert listener.lines == ["wandb stopped (no answer in time); the sweep goes on without it."]


def test_crash_inside_wandb_is_said_once_and_ends_only_wandb(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(**_: Any) -> None:
        raise RuntimeError("service process died\nmore lines")

    monkeypatch.setattr(wandb, "init", crash)
    a, b = make_run(0), make_run(1, r=16)
    listener = Listener()
    play(
        make_watcher(study, listener),
        (a, Started(a.id, "w0")),
        (b, Started(b.id, "w1")),
        (a, finished(a)),
        (b, finished(b)),
    )
    assert listener.lines == ["wandb stopped (service process died); the sweep goes on without it."]


# The mode.


def test_auto_without_a_key_is_offline_and_says_how_to_send() -> None:
    mode, line = resolve_mode("auto")
    assert mode == "offline"
    assert line is not None
    assert "no API key" in line
    assert "sync.sh" in line


def test_auto_with_a_key_is_online_without_asking_the_server(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", NO_SERVER)
    assert resolve_mode("auto") == ("online", None)
    assert capfd.readouterr() == ("", "")


def test_key_in_netrc_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text(f"machine wandb.example.org login user password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert resolve_mode("auto") == ("online", None)


@pytest.mark.parametrize(
    ("variable", "mode"),
    [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled"), ("online", "online")],
)
def test_auto_follows_wandb_mode(variable: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", variable)
    assert resolve_mode("auto")[0] == mode


def test_explicit_mode_beats_wandb_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert resolve_mode("online") == ("online", None)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert resolve_mode("offline")[0] == "offline"
    assert resolve_mode("disabled") == ("disabled", None)


def test_online_without_a_key_is_refused_with_a_way_out() -> None:
    with pytest.raises(TrackingError, match="API key") as caught:
        resolve_mode("online")
    assert "wandb login" in caught.value.way_out


def test_malformed_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    mode, line = resolve_mode("auto")
    assert mode == "offline"
    assert "WANDB_API_KEY" in str(line)
    with pytest.raises(TrackingError, match="WANDB_API_KEY"):
        resolve_mode("online")


def test_unknown_wandb_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(TrackingError, match="sometimes"):
        resolve_mode("auto")


def test_missing_package_disables_auto_and_refuses_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    mode, line = resolve_mode("auto")
    assert mode == "disabled"
    assert "pip install wandb" in str(line)
    for asked in ("online", "offline"):
        with pytest.raises(TrackingError, match="pip install wandb"):
            resolve_mode(asked)
    assert resolve_mode("disabled") == ("disabled", None)


def test_module_does_not_import_wandb() -> None:
    code = "import sys, sweep.watch.wandb_log; sys.exit('wandb' in sys.modules)"
    assert run_python(code).returncode == 0
