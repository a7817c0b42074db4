"""Thousands of short runs: do memory, open files, threads and disk stay what they were?

    python benchmarks/soak.py [--runs 2000]

A random search over a tiny random model, two steps a run, in packs on two workers, in a process of
its own that is looked at from outside twice a second. Of each process that lives through it: slopes
over the runs that are done, by least squares, with their 95 % intervals. The first fifth, in which
caches fill, is left out. Beside it the disk: what `mode=plan` said, and what the study takes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from common import runs_of, write
from kill import make_model
from scipy.stats import linregress, t

_WARM = 0.2
_KINDS = ("memory_mb", "files", "threads")


@dataclass(frozen=True)
class Sample:
    """One look at one process."""

    runs: int
    memory_mb: float
    files: int
    threads: int


def command(folder: Path, runs: int, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "sweep", f"model.path={folder / 'model'}", "name=soak"),
        *("data.max_train_rows=32", "data.max_dev_rows=32", "data.max_length=32"),
        *("trainer=smoke", "trainer.max_steps=2", "trainer.eval_steps=2"),
        *("trainer.precision=fp32", "search=random", f"search.n_trials={runs}"),
        *("confirm=none", "baselines=none", "tracking=disabled", "executor.workers=2"),
        f"results_dir={folder / 'results'}",
        "search.space={lora.r:[2,4,8],trainer.learning_rate:{low:1e-4,high:1e-2,log:true}}",
        *more,
    ]


def looks(process: psutil.Process, study: Path) -> Iterator[tuple[str, Sample]]:
    """At the driver and at all that it has started, once: a name, and what was seen."""
    runs = sum(1 for _ in study.glob("runs/*/run.json"))
    for one in (process, *process.children(recursive=True)):
        try:
            with one.oneshot():
                name = "driver" if one == process else f"child {one.pid}"
                memory = one.memory_info().rss / 1e6
                yield name, Sample(runs, memory, one.num_fds(), one.num_threads())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def slopes(samples: Sequence[Sample]) -> dict[str, Any]:
    """What a thousand further runs add, with 95 % intervals that take looks as independent."""
    runs = [sample.runs / 1000 for sample in samples]
    found: dict[str, Any] = {}
    for kind in _KINDS:
        values = [float(getattr(sample, kind)) for sample in samples]
        line = linregress(runs, values)
        # What never changes has no error, which least squares gives as none.
        error = line.stderr if len({*values}) > 1 else 0.0
        half = float(t.ppf(0.975, len(runs) - 2)) * error
        found[kind] = {
            "first": values[0],
            "last": values[-1],
            "per_1000_runs": line.slope,
            "ci": [line.slope - half, line.slope + half],
        }
    return found


def soaked(folder: Path, runs: int) -> tuple[dict[str, list[Sample]], float, int]:
    """Looks by process, seconds, exit code."""
    seen: dict[str, list[Sample]] = defaultdict(list)
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(command(folder, runs), stdout=log, stderr=log, env=environment)
        watched, study = psutil.Process(process.pid), folder / "results" / "soak"
        while process.poll() is None:
            try:
                for name, sample in looks(watched, study):
                    seen[name].append(sample)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.5)
        code = process.wait()
    return seen, time.perf_counter() - began, code


def of_the_middle(seen: dict[str, list[Sample]], runs: int) -> dict[str, list[Sample]]:
    """Of processes that lived through it: from the end of the warming up to the last run."""
    cut = {
        name: [sample for sample in samples if _WARM * runs <= sample.runs < runs]
        for name, samples in seen.items()
    }
    most = max(map(len, cut.values()))
    return {name: samples for name, samples in cut.items() if len(samples) > 0.9 * most > 2}


def disk(study: Path) -> dict[str, float]:
    plan = json.loads((study / "plan.json").read_text(encoding="utf-8"))
    files = [path for path in study.rglob("*") if path.is_file()]
    return {
        "planned_at_most_mb": plan["disk_mb"],
        "taken_mb": sum(path.stat().st_size for path in files) / 1e6,
        "rungs_left": sum(path.name == "rung.pt" for path in files),
        "adapters_kept": sum(path.name == "adapter_model.safetensors" for path in files),
        "files": len(files),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--keep", type=Path, help="where the study stays to be looked at")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep-soak-") as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(exist_ok=True)
        make_model(folder / "model")
        subprocess.run(
            command(folder, asked.runs, "mode=plan"), check=True, stdout=subprocess.DEVNULL
        )
        seen, seconds, code = soaked(folder, asked.runs)
        study = folder / "results" / "soak"
        if code:
            raise SystemExit((folder / "log").read_text(encoding="utf-8")[-3000:])
        content = {
            "runs": asked.runs,
            "states": runs_of(study)["state"].value_counts().to_dict(),
            "seconds": seconds,
            "load_after": os.getloadavg()[0],
            "slopes": {n: slopes(s) for n, s in of_the_middle(seen, asked.runs).items()},
            "disk": disk(study),
            "raw": {n: [asdict(s) for s in samples[::20]] for n, samples in seen.items()},
        }
    print(write("soak", content))
    print(json.dumps({k: v for k, v in content.items() if k != "raw"}, indent=2))


if __name__ == "__main__":
    main()
