"""Both executors on trainings that cost nothing, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sweep.core.recipe import Lora, Recipe
from sweep.execute.in_process import InProcess
from sweep.execute.processes import Processes
from sweep.loop.ports import Executor, TrainFn
from sweep.loop.trial import Event, Finished, Outcome, Run

Open = Callable[[TrainFn, Path], Executor]


def open_in_process(train: TrainFn, folder: Path) -> Executor:
    return InProcess(train, runs_dir=folder / "runs")


def open_processes(train: TrainFn, folder: Path) -> Executor:
    return Processes(train, runs_dir=folder / "runs", logs_dir=folder / "logs", workers=2)


def run_of(r: int) -> Run:
    return Run(0, {}, Recipe(lora=Lora(r=r)))


def drain(executor: Executor) -> list[Event]:
    events: list[Event] = []
    while executor.num_open:
        executor.work(events.append)
    return events


def outcomes(events: list[Event]) -> dict[str, Outcome]:
    finished = [e for e in events if isinstance(e, Finished)]
    assert len({e.run_id for e in finished}) == len(finished)
    return {e.run_id: e.outcome for e in finished}
