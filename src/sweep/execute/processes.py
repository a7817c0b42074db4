"""Worker processes that live for the whole sweep; one dies, the others go on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from sweep.execute.children import cause_of_death, start_child, tell_to_leave, wait_for_end
from sweep.execute.deaths import Deaths
from sweep.execute.worker import serve
from sweep.loop.ports import Handle, Pack, TrainFn
from sweep.loop.trial import Event, Finished, Paused, Run
from sweep.study.notes import ask_to_pause, ask_to_stop, forget_to_pause

#: Longest wait for an event, so that a signal to the driver is seen soon.
_WAIT_SECONDS = 0.25
#: Deaths of a lone run's worker that are too many.
_MOST_DEATHS = 2


@dataclass
class _Worker:
    """A process, the line to it, and the runs that it has taken up and not finished."""

    name: str
    process: BaseProcess
    connection: Connection
    runs: list[Run] = field(default_factory=list)


class Processes:
    """An `Executor` with one process per worker.

    They are forked from a server without threads that has imported the trainer once (Python's
    forkserver), or, where there is none, spawned. A run
    whose worker dies is put back; a second death is its failure. Whose fault the death of a
    pack was, nobody knows: its runs are put back in halves, and fail when they die alone.

    Args:
        train: Trains a pack; an importable function.
        runs_dir: Holds a folder per run.
        logs_dir: Gets one file per worker.
        workers: Number of processes.
        threads: Threads of each; two pools that spin on the same cores cost a factor of ten.
        gpus: Workers are shared out over this many GPUs.
        cores: CPUs to pin the workers to, one each; none leaves them to the system.
        pack_size: Most runs of a pack.
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
        cores: Sequence[int] = (),
        pack_size: int = 1,
    ) -> None:
        self._train = train
        self._pack_size = pack_size
        self._cores = cores
        self._runs_dir = runs_dir
        self._logs_dir = logs_dir
        self._threads = threads
        self._gpus = gpus
        self._queue: deque[Pack] = deque()
        self._deaths = Deaths(_MOST_DEATHS)
        self._paused = False
        forget_to_pause(runs_dir)
        self._workers = [self._start(f"worker-{i}") for i in range(workers)]

    @property
    def pack_size(self) -> int:
        return self._pack_size

    @property
    def num_free(self) -> int:
        return sum(not w.runs for w in self._workers) - len(self._queue)

    @property
    def num_open(self) -> int:
        return len(self._queue) + sum(bool(w.runs) for w in self._workers)

    def submit(self, pack: Pack) -> None:
        self._queue.append(pack)
        self._dispatch()

    def stop(self, run_id: str, reason: str) -> None:
        ask_to_stop(self._runs_dir / run_id, reason)

    def pause(self, *, at_step: bool = False) -> None:
        ask_to_pause(self._runs_dir, at_step=at_step)
        self._paused = True
        self._queue.clear()

    def work(self, handle: Handle) -> None:
        by_line = {w.connection: w for w in self._workers}
        for line in wait(list(by_line), timeout=_WAIT_SECONDS):
            assert isinstance(line, Connection)
            self._receive(by_line[line], handle)
        self._dispatch()

    def close(self) -> None:
        for worker in self._workers:
            worker.connection.close()
            if worker.runs:
                tell_to_leave(worker.process)
        wait_for_end([worker.process for worker in self._workers])
        self._workers = []
        self._queue.clear()

    def _receive(self, worker: _Worker, handle: Handle) -> None:
        try:
            event: Event = worker.connection.recv()
        # A plain OSError where it was killed in the middle of a message.
        except (EOFError, OSError):
            self._replace(worker, handle)
            return
        if isinstance(event, Finished | Paused):
            worker.runs = [run for run in worker.runs if run.id != event.run_id]
        handle(event)

    def _replace(self, worker: _Worker, handle: Handle) -> None:
        """The worker's end of the line is closed: it is dead, whatever killed it."""
        worker.process.join()
        cause = cause_of_death(worker.process.exitcode)
        worker.connection.close()
        self._note_death(worker, cause)
        if self._paused:
            # Nothing is taken up any more; its runs go on from their rungs at the next start.
            self._workers.remove(worker)
            return
        self._workers[self._workers.index(worker)] = self._start(worker.name)
        runs = tuple(worker.runs)
        log = self._log(worker.name)
        packs = self._deaths.put_back(runs, worker.name, cause=cause, log=log, handle=handle)
        self._queue.extendleft(reversed(packs))

    def _note_death(self, worker: _Worker, cause: str) -> None:
        """In the log of the worker, which can't any more."""
        runs = ", ".join(run.id for run in worker.runs) or "no run"
        with suppress(OSError), self._log(worker.name).open("a", encoding="utf-8") as log:
            log.write(f"== {worker.name} died ({cause}) at work on {runs}\n")

    def _dispatch(self) -> None:
        for worker in self._workers:
            if not worker.runs and self._queue:
                pack = self._queue.popleft()
                worker.runs = list(pack)
                try:
                    worker.connection.send(pack)
                except (BrokenPipeError, ConnectionError):
                    # Died while it was idle: `work` finds the closed line and puts the run back.
                    continue

    def _start(self, name: str) -> _Worker:
        here, there = Pipe()
        process = start_child(
            serve,
            there,
            self._train,
            variables=self._variables(name),
            threads=self._threads,
            name=name,
            runs_dir=self._runs_dir,
            log=self._log(name),
            core=self._core(name),
        )
        there.close()
        return _Worker(name, process, here)

    def _log(self, name: str) -> Path:
        return self._logs_dir / f"{name}.log"

    def _variables(self, name: str) -> dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": self._device(_number(name))} if self._gpus else {}

    def _core(self, name: str) -> int | None:
        return self._cores[_number(name) % len(self._cores)] if self._cores else None

    def _device(self, index: int) -> str:
        """The worker's GPU, counted within those that the driver may see."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = visible.split(",") if visible else [str(i) for i in range(self._gpus)]
        return devices[index % len(devices)]


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
