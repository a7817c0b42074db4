"""Worker processes that live for the whole sweep; one dies, the others go on."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from sweep.core.ports import Handle, TrainFn
from sweep.core.trial import Event, Finished, Outcome, Run, RunState
from sweep.execute.worker import serve

#: Variables of the thread pools that numerical libraries open when they are imported.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
#: Longest wait for an event, so that a signal to the driver is seen soon.
_WAIT_SECONDS = 1.0
_CLOSE_SECONDS = 5.0


@dataclass
class _Worker:
    """A process, the line to it, and the run that it has taken up."""

    name: str
    process: SpawnProcess
    connection: Connection
    run: Run | None = None


class Processes:
    """An `Executor` with one process per worker.

    A fresh interpreter each (spawn): a forked one would inherit thread pools that hang. A run
    whose worker dies is put back once; a second death is its failure.

    Args:
        train: Trains one run; an importable function.
        runs_dir: Holds a folder per run.
        logs_dir: Gets one file per worker.
        workers: Number of processes.
        threads: Threads of each; two pools that spin on the same cores cost a factor of ten.
        gpus: Workers are shared out over this many GPUs.
    """

    def __init__(
        self,
        train: TrainFn,
        *,
        runs_dir: Path,
        logs_dir: Path,
        workers: int,
        threads: int = 1,
        gpus: int = 0,
    ) -> None:
        self._train = train
        self._runs_dir = runs_dir
        self._logs_dir = logs_dir
        self._threads = threads
        self._gpus = gpus
        self._queue: deque[Run] = deque()
        self._deaths: dict[str, int] = {}
        self._workers = [self._start(f"worker-{i}") for i in range(workers)]

    @property
    def num_free(self) -> int:
        return sum(w.run is None for w in self._workers) - len(self._queue)

    @property
    def num_open(self) -> int:
        return len(self._queue) + sum(w.run is not None for w in self._workers)

    def submit(self, run: Run) -> None:
        self._queue.append(run)
        self._dispatch()

    def work(self, handle: Handle) -> None:
        by_line = {w.connection: w for w in self._workers}
        for line in wait(list(by_line), timeout=_WAIT_SECONDS):
            assert isinstance(line, Connection)
            self._receive(by_line[line], handle)
        self._dispatch()

    def close(self) -> None:
        for worker in self._workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_CLOSE_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []
        self._queue.clear()

    def _receive(self, worker: _Worker, handle: Handle) -> None:
        try:
            event: Event = worker.connection.recv()
        except (EOFError, ConnectionError):
            self._replace(worker, handle)
            return
        if isinstance(event, Finished):
            worker.run = None
        handle(event)

    def _replace(self, worker: _Worker, handle: Handle) -> None:
        """The worker's end of the line is closed: it is dead, whatever killed it."""
        worker.process.join()
        code = worker.process.exitcode
        worker.connection.close()
        self._workers[self._workers.index(worker)] = self._start(worker.name)
        if worker.run is None:
            return
        run_id = worker.run.id
        self._deaths[run_id] = self._deaths.get(run_id, 0) + 1
        if self._deaths[run_id] == 1:
            self._queue.appendleft(worker.run)
            return
        log = self._log(worker.name)
        reason = f"its worker process died twice ({_cause(code)}); log: {log}"
        handle(Finished(run_id, Outcome(RunState.FAILED, reason=reason, worker=worker.name)))

    def _dispatch(self) -> None:
        for worker in self._workers:
            if worker.run is None and self._queue:
                worker.run = self._queue.popleft()
                try:
                    worker.connection.send(worker.run)
                except (BrokenPipeError, ConnectionError):
                    # Died while it was idle: `work` finds the closed line and puts the run back.
                    continue

    def _start(self, name: str) -> _Worker:
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(
            target=serve,
            args=(there, self._train),
            kwargs={"name": name, "runs_dir": self._runs_dir, "log": self._log(name)},
            name=name,
            daemon=True,
        )
        with _environment(self._variables(name)):
            process.start()
        there.close()
        return _Worker(name, process, here)

    def _log(self, name: str) -> Path:
        return self._logs_dir / f"{name}.log"

    def _variables(self, name: str) -> dict[str, str]:
        variables = {variable: str(self._threads) for variable in _THREAD_VARIABLES}
        if self._gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self._device(int(name.rpartition("-")[2]))
        return variables

    def _device(self, index: int) -> str:
        """The worker's GPU, counted within those that the driver may see."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = visible.split(",") if visible else [str(i) for i in range(self._gpus)]
        return devices[index % len(devices)]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a child: thread pools read them before any of our code runs there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", often out of memory" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"
    return f"exit code {exit_code}"
