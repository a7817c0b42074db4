"""What two workers that train are worth, on each engine: seconds of one over twice those of two.

    python benchmarks/engines.py [--engines processes folder ray] [--runs 6] [--steps 60]

Work of fixed size: so many runs of `lora_grid`'s training, one a pack, one thread a worker. Every
worker has trained one run before the clock counts: it has base model and pairs. Two workers share
the machine's memory and caches, which no engine can help.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from common import summary, write

from sweep.commands.worker import hired_in, worker_of
from sweep.config.compose import load_settings
from sweep.execute.folder.executor import Folder
from sweep.execute.processes import Processes
from sweep.execute.ray.executor import OnRay
from sweep.loop.ports import Executor
from sweep.loop.trial import Event, Finished, Run, RunState
from sweep.study.exchange import ExchangeFiles
from sweep.study.files import StudyFiles
from sweep.train.runs import train_pack


def runs_of(count: int, steps: int, *, first: int = 0) -> list[Run]:
    """Runs that differ in learning rate, evaluated at their end."""
    settings, _ = load_settings(["+experiment=lora_grid"])
    trainer = replace(settings.trainer, max_steps=steps, eval_strategy="steps", eval_steps=steps)
    rates = [1e-4 * (i + 1) for i in range(first, first + count)]
    recipe = settings.recipe(seed=0)
    return [
        Run(i, {}, replace(recipe, trainer=replace(trainer, learning_rate=rate)))
        for i, rate in enumerate(rates)
    ]


@contextmanager
def opened(engine: str, study: Path, workers: int) -> Iterator[Executor]:
    files = StudyFiles(study)
    helpers: list[threading.Thread] = []
    executor: Executor
    if engine == "processes":
        executor = Processes(
            train_pack, runs_dir=files.runs, logs_dir=files.logs, workers=workers, threads=1
        )
    elif engine == "ray":
        executor = OnRay(files, hired_in, workers=workers)
    else:
        executor = Folder(
            exchange=ExchangeFiles(files.exchange),
            runs_dir=files.runs,
            logs_dir=files.logs,
            workers=workers,
        )
        # What trains for them are processes all the same.
        ones = [worker_of(study, 1.0, lambda _: None, lambda: None) for _ in range(workers)]
        helpers = [threading.Thread(target=one.run) for one in ones]
    for helper in helpers:
        helper.start()
    try:
        yield executor
    finally:
        executor.close()
        for helper in helpers:
            helper.join()


def train_all(executor: Executor, runs: list[Run]) -> float:
    """Seconds until all of them have ended; never more packs than there are workers."""
    waiting, ends = list(runs), []
    begins = time.perf_counter()

    def hear(event: Event) -> None:
        if isinstance(event, Finished):
            assert event.outcome.state is RunState.COMPLETE, event.outcome.error
            ends.append(event.run_id)

    while waiting or executor.num_open:
        for _ in range(min(executor.num_free, len(waiting))):
            executor.submit((waiting.pop(),))
        executor.work(hear)
    assert len(set(ends)) == len(ends) == len(runs)
    return time.perf_counter() - begins


def seconds_of(engine: str, *, workers: int, runs: int, steps: int) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="engines-") as folder,
        opened(engine, Path(folder), workers) as executor,
    ):
        train_all(executor, runs_of(workers, 8, first=runs))
        return train_all(executor, runs_of(runs, steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", default=["processes", "folder", "ray"])
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    content: dict[str, object] = {"runs": args.runs, "steps": args.steps}
    for engine in args.engines:
        efficiencies, walls, loads = [], [], []
        for _ in range(args.repeats):
            loads.append(round(os.getloadavg()[0], 1))
            one, two = (
                seconds_of(engine, workers=n, runs=args.runs, steps=args.steps) for n in (1, 2)
            )
            efficiencies.append(one / (2 * two))
            walls.append([round(one, 2), round(two, 2)])
        content[engine] = {
            "efficiency_of_two": summary(efficiencies),
            "seconds_of_one_and_two": walls,
            "load_before": loads,
        }
        print(engine, [round(x, 3) for x in efficiencies], walls, loads, flush=True)
    print(write("engines", content))


if __name__ == "__main__":
    main()
