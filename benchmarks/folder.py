"""What it costs that driver and workers talk: runs a second, efficiency of two.

    python benchmarks/folder.py [--engine folder|ray] [--workers 64] [--runs 3000] [--repeats 3]

Workers are those of `python -m sweep worker`, or actors of Ray; what trains for them does nothing,
or waits. So the figures are of the folder alone, on the disk of `--folder`, or of Ray. With what
waits, the cores are free, and the efficiency of two workers is what the engine leaves of it:
seconds of one worker over twice those of two.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from sweep.core.recipe import Lora, Recipe
from sweep.execute.folder.executor import Folder
from sweep.execute.folder.hands import Hands, Hire
from sweep.execute.folder.worker import Worker
from sweep.execute.ray.executor import OnRay
from sweep.loop.ports import Executor, Pack
from sweep.loop.trial import Event, Finished, Outcome, Progress, Run, RunState, Started
from sweep.study.exchange import ExchangeFiles
from sweep.study.files import StudyFiles


class Idle:
    """`Hands` that say what a training says, after some seconds of nothing."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pack: Pack = ()

    def train(self, pack: Pack) -> None:
        self._pack = pack

    def events(self, seconds: float) -> list[Event]:
        if not self._pack:
            time.sleep(min(seconds, 0.01))
            return []
        time.sleep(self._seconds)
        pack, self._pack = self._pack, ()
        return [event for run in pack for event in _of_a_training(run)]

    def end(self) -> None:
        self._pack = ()


def _of_a_training(run: Run) -> list[Event]:
    outcome = Outcome(RunState.COMPLETE, score=run.recipe.lora.r / 1e6)
    return [Started(run.id, "idle"), Progress(run.id, 1, 1), Finished(run.id, outcome)]


def work(study: Path, workers: int, seconds: float) -> None:
    """So many workers as threads of this process, until the driver has nothing more to do."""

    def hire(name: str, runs_dir: Path, threads: int) -> Hands:
        return Idle(seconds)

    def for_place(place: StudyFiles) -> Hire:
        return hire

    def one() -> None:
        places = [StudyFiles(study)]
        Worker(places, for_place, wait_s=60, say=lambda _: None, leave=lambda: None).run()

    threads = [threading.Thread(target=one) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def idle_in(place: StudyFiles, *, seconds: float) -> Hire:
    return lambda name, runs_dir, threads: Idle(seconds)


@contextmanager
def opened_on_ray(study: Path, workers: int, seconds: float) -> Iterator[Executor]:
    """A driver whose actors have all trained something: a run each."""
    hire_in = functools.partial(idle_in, seconds=seconds)
    executor = OnRay(StudyFiles(study), hire_in, workers=workers)
    try:
        for i in range(workers):
            executor.submit((Run(i, {}, Recipe(seed=1, lora=Lora(r=i + 1))),))
        while (
            executor.num_open or sum(one.greeting is not None for one in executor._crew) < workers
        ):
            executor.work(lambda event: None)
        yield executor
    finally:
        executor.close()


@contextmanager
def opened(study: Path, workers: int, seconds: float) -> Iterator[Executor]:
    """A driver whose workers have all come, in a process of their own."""
    files = StudyFiles(study)
    executor = Folder(
        exchange=ExchangeFiles(files.exchange),
        runs_dir=files.runs,
        logs_dir=files.logs,
        workers=workers,
    )
    process = get_context("spawn").Process(target=work, args=(study, workers, seconds))
    process.start()
    try:
        said = executor._files.workers
        while len(list(said.iterdir())) < workers:
            time.sleep(0.05)
        yield executor
    finally:
        executor.close()
        process.join()


def seconds_of(
    engine: str, study: Path, *, workers: int, runs: int, seconds: float
) -> tuple[float, float]:
    """From the first pack to the last end: of the clock, and of the driver's CPU.

    A run a pack, and never more packs than there are workers.
    """
    waiting = [Run(i, {}, Recipe(lora=Lora(r=i + 1))) for i in range(runs)]
    ends: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Finished):
            ends.append(event.run_id)

    begin = opened_on_ray if engine == "ray" else opened
    with begin(study, workers, seconds) as executor:
        begins, used = time.perf_counter(), time.process_time()
        while waiting or executor.num_open:
            for _ in range(min(executor.num_free, len(waiting))):
                executor.submit((waiting.pop(),))
            executor.work(hear)
        wall, cpu = time.perf_counter() - begins, time.process_time() - used
    assert len(set(ends)) == len(ends) == runs
    return wall, cpu


def main() -> None:
    # Only here: the workers' process imports this file, and needs no torch.
    from common import summary, write

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["folder", "ray"], default="folder")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a run that waits")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    args = parser.parse_args()
    rates, costs, efficiencies, loads = [], [], [], []
    for _ in range(args.repeats):
        loads.append(os.getloadavg()[0])
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            wall, cpu = seconds_of(
                args.engine, Path(folder), workers=args.workers, runs=args.runs, seconds=0
            )
            rates.append(args.runs / wall)
            costs.append(1000 * cpu / args.runs)
        walls = []
        for workers in (1, 2):
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                study = Path(folder)
                waiting = {"workers": workers, "runs": 12, "seconds": args.seconds}
                walls.append(seconds_of(args.engine, study, **waiting)[0])
        efficiencies.append(walls[0] / (2 * walls[1]))
        print(
            f"{rates[-1]:.0f} runs a second, "
            f"driver {costs[-1]:.1f} ms of CPU a run, "
            f"efficiency of two {efficiencies[-1]:.3f}"
        )
    content = {
        "workers": args.workers,
        "runs": args.runs,
        "seconds_of_a_run_that_waits": args.seconds,
        "runs_a_second": summary(rates),
        "driver_cpu_ms_a_run": summary(costs),
        "efficiency_of_two": summary(efficiencies),
        "load_before": [round(load, 1) for load in loads],
    }
    print(write(args.engine, content))


if __name__ == "__main__":
    main()
