"""A real MLflow: a database, a server on this machine, and what they say of a study's runs.

`make test-mlflow` has the packages; without them these tests are skipped, with the reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sweep.watch.mlflow_target import MlflowTarget, mlflow_variables

needs_mlflow = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="MLflow is not installed: `make test-mlflow`"
)


def client(uri: str) -> Any:
    with mlflow_variables(10.0):
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri)


def target_in(results: Path, empty: Path) -> MlflowTarget:
    """A database beside the studies, as a sweep would make one: copied, since that takes long."""
    target = MlflowTarget.of(None, None, results)
    database = results / "mlflow.db"
    if not database.exists():
        results.mkdir(parents=True, exist_ok=True)
        if not empty.exists():
            client(MlflowTarget.of(None, None, empty.parent).uri).search_experiments()
        shutil.copy(empty, database)
    return target


def runs_at(uri: str, experiment: str = "sweep") -> list[Any]:
    """By name."""
    asked = client(uri)
    found = asked.get_experiment_by_name(experiment)
    runs = asked.search_runs([found.experiment_id]) if found else []
    return sorted(runs, key=lambda run: str(run.info.run_name))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


class Server:
    """MLflow's own, with a database of SQLite. It can be frozen, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        place = self._folder.as_posix()
        words = [
            *("--backend-store-uri", f"sqlite:///{place}/server.db"),
            *("--artifacts-destination", f"{place}/artifacts", "--serve-artifacts"),
            *("--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"),
        ]
        log = (self._folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *words],
            cwd=self._folder,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                return
            time.sleep(0.5)
        raise TimeoutError((self._folder / "server.log").read_text()[-2000:])

    def send(self, number: signal.Signals) -> None:
        """To all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._process.wait(30)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
