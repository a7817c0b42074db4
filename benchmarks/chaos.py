"""Faults at random moments, over all executors: is anything lost, doubled, stuck or different?

    python benchmarks/chaos.py [--faults 200] [--faults-a-study 8] [--seed 0]

A small grid on a tiny random model is trained unbroken, and then again and again under faults drawn
from a seed: signals while it is at work, and hurt files before the same command goes on. Each study
goes on by its own command until its faults are spent, and then to its end. There every run of the
grid is there once, complete, with the predictions of the unbroken study to 1e-6. So are the scores
where runs train alone. In packs they go on in other company, and a score of predictions that hardly
differ from one another makes more of the last bit.

Processes are forked from one that has imported torch, as those of the tests are.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from common import runs_of, write
from kill import make_model

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
from sweep_processes import SweepProcess, end_all, start

#: An executor, and the workers that somebody has to start for it.
ENGINES = {
    "in_process": (["executor=in_process", "executor.pack_size=1"], 0),
    "processes": (["executor.workers=2", "executor.pack_size=2"], 0),
    "folder": (
        [
            "executor=folder",
            "executor.workers=2",
            "executor.pack_size=1",
            "executor.lost_after_s=5",
        ],
        2,
    ),
}
_RUNS = 12
_SAME = 1e-6
_PATIENCE_S = 240.0
_DAY = 86_400


@dataclass
class Patient:
    """A study under faults, and the processes that work for it."""

    folder: Path
    name: str
    engine: str
    home: Path
    driver: SweepProcess | None = None
    workers: list[SweepProcess] = field(default_factory=list)

    @property
    def study(self) -> Path:
        return self.home / self.name

    def go_on(self) -> None:
        """By the same command, with as many workers as there are to be."""
        options, count = ENGINES[self.engine]
        if self.driver is None or self.driver.poll() is not None:
            self.driver = self._start(
                [*sweep(self.folder, self.home), f"name={self.name}"], options
            )
        self.workers = [one for one in self.workers if one.poll() is None]
        while len(self.workers) < count:
            self.workers.append(self._start(["worker", str(self.study), "--wait", "3"], []))

    def _start(self, arguments: list[str], options: list[str]) -> SweepProcess:
        with (self.folder / f"{self.name}.log").open("a") as log, Path(os.devnull).open() as none:
            files = (none.fileno(), log.fileno(), log.fileno())
            return start([*arguments, *options], self.folder, files=files)

    def ends_before(self, rng: random.Random, seconds: float) -> bool:
        """Wait for a moment: one of the start, or when some more runs are done."""
        if rng.random() < 0.3:
            return self.ends_within(rng.uniform(0.0, 0.5) * seconds)
        wanted = self.num_done + rng.randrange(4)
        while self.num_done < wanted:
            if self.ends_within(0.1):
                return True
        return self.ends_within(rng.uniform(0.0, 1.0))

    @property
    def num_done(self) -> int:
        return sum(1 for _ in self.study.glob("runs/*/run.json"))

    def ends_within(self, seconds: float) -> bool:
        """Whether the driver has ended; its workers are replaced meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.driver is None or self.driver.poll() is not None:
                return True
            self.go_on()
            time.sleep(0.1)
        return False


def sweep(folder: Path, home: Path) -> list[str]:
    """The command line of the grid, but for name and executor."""
    return [
        *("data=files", f"data.train={folder / 'train.csv'}", f"data.dev={folder / 'dev.csv'}"),
        *(f"model.path={folder / 'model'}", "data.max_length=32", "trainer=smoke"),
        *("trainer.max_steps=24", "trainer.eval_steps=4", "trainer.precision=fp32"),
        *("search=grid", "search.seeds=[0,1]", "search.race=false", "confirm=none"),
        *("baselines=none", "tracking=disabled", "executor.grace_s=5"),
        f"results_dir={home}",
        "search.space={lora.r:[2,4,8],trainer.learning_rate:[0.001,0.003]}",
    ]


# -- what strikes while it is at work --------------------------------------------------------------


def kill_driver(one: Patient, rng: random.Random) -> None:
    if one.driver is not None:
        os.kill(one.driver.pid, signal.SIGKILL)
        one.driver.wait(60)


def kill_all(one: Patient, rng: random.Random) -> None:
    for process in (one.driver, *one.workers):
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


def ask_driver_to_end(one: Patient, rng: random.Random) -> None:
    if one.driver is not None:
        os.kill(one.driver.pid, rng.choice([signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]))
        one.driver.wait(60)


def kill_a_worker(one: Patient, rng: random.Random) -> None:
    """A process that trains, wherever it was started from."""
    assert one.driver is not None
    of_others = [w.pid for w in one.workers if w.poll() is None]
    below = [c.pid for c in psutil.Process(one.driver.pid).children(recursive=True)]
    below += [c.pid for pid in of_others for c in psutil.Process(pid).children(recursive=True)]
    if not (there := [*below, *of_others]):
        raise ProcessLookupError("nobody trains beside the driver")
    os.kill(rng.choice(there), signal.SIGKILL)


def fill_the_disk(one: Patient, rng: random.Random) -> None:
    """For a second or two; only where the study has a small disk of its own."""
    ballast = one.home / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))
    one.ends_within(rng.uniform(0.5, 2.0))
    ballast.unlink()


# -- what hurts files before the next start --------------------------------------------------------


def _any(one: Patient, pattern: str, rng: random.Random) -> Path | None:
    found = sorted(path for path in one.study.glob(pattern) if path.is_file())
    return rng.choice(found) if found else None


def _cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size + 1))


def cutting(pattern: str) -> Callable[[Patient, random.Random], bool]:
    def hurt(one: Patient, rng: random.Random) -> bool:
        path = _any(one, pattern, rng)
        if path is not None:
            _cut(path, rng)
        return path is not None

    return hurt


def delete_a_rung(one: Patient, rng: random.Random) -> bool:
    path = _any(one, "runs/*/rung.pt", rng)
    if path is not None:
        path.unlink()
    return path is not None


def touch_data(one: Patient, rng: random.Random) -> bool:
    (one.folder / rng.choice(["train.csv", "dev.csv"])).touch()
    return True


def shift_times(one: Patient, rng: random.Random) -> bool:
    """As a clock leaves them that was a day ahead, or behind."""
    moment = time.time() + rng.choice([-_DAY, _DAY])
    for path in one.study.rglob("*"):
        with suppress(FileNotFoundError):
            os.utime(path, (moment, moment))
    return one.study.is_dir()


AT_WORK = {
    "driver killed": kill_driver,
    "all killed": kill_all,
    "driver asked to end": ask_driver_to_end,
    "worker killed": kill_a_worker,
    "disk full": fill_the_disk,
}
AT_REST = {
    "table torn": cutting("table.csv"),
    "leaderboard torn": cutting("leaderboard.csv"),
    "verdict truncated": cutting("verdict.json"),
    "record truncated": cutting("runs/*/run.json"),
    "rung truncated": cutting("runs/*/rung.pt"),
    "rung deleted": delete_a_rung,
    "data touched": touch_data,
    "clock jumped": shift_times,
}


def trouble(one: Patient, rng: random.Random, faults: int, seconds: float) -> list[str]:
    """Strike so often; returns what has struck."""
    told: list[str] = []
    kinds = [name for name in AT_WORK if name != "disk full" or one.home.is_mount()]
    while len(told) < faults:
        one.go_on()
        ended = one.ends_before(rng, seconds)
        if not ended:
            name = rng.choice(kinds)
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                AT_WORK[name](one, rng)
                told.append(name)
        if one.driver is None or one.driver.poll() is not None:
            for name in rng.sample(sorted(AT_REST), 3):
                if AT_REST[name](one, rng):
                    told.append(name)
    return told


@dataclass(frozen=True)
class Ended:
    """What a study holds once it has come to its end."""

    exit_code: int | None
    lost: int
    doubled: int
    stuck: int
    largest_difference: float
    largest_in_predictions: float
    in_packs: bool

    @property
    def is_whole(self) -> bool:
        faults = self.lost + self.doubled + self.stuck
        return self.exit_code == 0 and faults == 0 and self._is_same

    @property
    def _is_same(self) -> bool:
        scores = 0.0 if self.in_packs else self.largest_difference
        return max(scores, self.largest_in_predictions) <= _SAME


def ended(one: Patient, exit_code: int | None, first: Patient) -> Ended:
    table, unbroken = runs_of(one.study), scores_of(first.study)
    keys = [table["config_id"], table["seed"]]
    scores = pd.Series(table["pearson"].to_numpy(), index=pd.MultiIndex.from_arrays(keys))
    doubled = int(scores.index.duplicated().sum())
    complete = table[table["state"] == "complete"]
    open_runs = int(table["state"].isin(["running", "queued"]).sum())
    apart = (scores[~scores.index.duplicated()] - unbroken).abs().max()
    lost = _RUNS - len(complete[["config_id", "seed"]].drop_duplicates())
    stuck = open_runs + (exit_code is None)
    in_packs = "executor.pack_size=1" not in ENGINES[one.engine][0]
    moved = in_predictions(one.study, first.study)
    return Ended(exit_code, lost, doubled, stuck, float(apart), moved, in_packs)


def in_predictions(study: Path, unbroken: Path) -> float:
    """Largest difference, in the units of the labels."""
    found = [0.0]
    for path in unbroken.glob("runs/*/predictions.npy"):
        other = study / path.relative_to(unbroken)
        if other.is_file():
            found.append(float(np.abs(np.load(path) - np.load(other)).max()))
    return max(found)


def to_its_end(one: Patient, *, tries: int = 3) -> int | None:
    """The exit code; None where it hangs. What a full disk has failed, a next start trains."""
    code: int | None = None
    for _ in range(tries):
        one.go_on()
        if not one.ends_within(_PATIENCE_S):
            kill_all(one, random.Random(0))
            return None
        assert one.driver is not None
        code = one.driver.poll()
        if code == 0:
            break
    return code


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own, where that is allowed; else a folder."""
    folder.mkdir()
    is_there = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True
    ).returncode
    try:
        yield folder
    finally:
        if is_there:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def make_pairs(folder: Path) -> None:
    """Random words, and how many of them both sentences share."""
    rng = random.Random(0)
    for name, rows in (("train", 128), ("dev", 64)):
        lines = ["sentence1,sentence2,score"]
        for _ in range(rows):
            first, second = (rng.sample("abcdefghijkl", 6) for _ in range(2))
            lines.append(
                f"{' '.join(first)},{' '.join(second)},{len({*first} & {*second}) / 6 * 5}"
            )
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def scores_of(study: Path) -> pd.Series:
    table = runs_of(study)
    return table.set_index(["config_id", "seed"])["pearson"].sort_index()


def run(folder: Path, home: Path, asked: argparse.Namespace) -> dict[str, Any]:
    first = Patient(folder, "unbroken", "in_process", home)
    began = time.perf_counter()
    assert to_its_end(first, tries=1) == 0, (folder / "unbroken.log").read_text()[-3000:]
    seconds = time.perf_counter() - began
    assert len(scores_of(first.study)) == _RUNS
    rng, studies, told = random.Random(asked.seed), [], Counter[str]()
    deadline = time.monotonic() + 60 * asked.minutes
    while told.total() < asked.faults and time.monotonic() < deadline:
        engine = list(ENGINES)[len(studies) % len(ENGINES)]
        one = Patient(folder, f"{engine}-{len(studies)}", engine, home)
        own = trouble(one, rng, asked.faults_a_study, seconds)
        found = ended(one, to_its_end(one), first)
        studies.append({"name": one.name, "faults": own, "whole": found.is_whole, **asdict(found)})
        told.update(own)
        print(studies[-1], flush=True)
        if not found.is_whole:
            print((folder / f"{one.name}.log").read_text()[-3000:], flush=True)
        end_all()
    sums = {key: sum(s[key] for s in studies) for key in ("lost", "doubled", "stuck", "whole")}
    return {
        "unbroken_seconds": seconds,
        "faults": told.total(),
        "by_kind": dict(told),
        "studies": len(studies),
        **sums,
        "largest_difference": max(s["largest_difference"] for s in studies),
        "largest_in_predictions": max(s["largest_in_predictions"] for s in studies),
        "raw": studies,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--faults-a-study", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=120.0, help="begin no study afterwards")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep-chaos-") as scratch:
        folder = Path(scratch)
        make_model(folder / "model")
        make_pairs(folder)
        try:
            with small_disk(folder / "results") as home:
                found = run(folder, home, asked)
        finally:
            end_all()
    print(write("chaos", found))
    print(json.dumps({key: value for key, value in found.items() if key != "raw"}, indent=2))
    sys.exit(found["whole"] != found["studies"])


if __name__ == "__main__":
    main()
