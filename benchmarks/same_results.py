"""Does a change of the code leave every result as it was?

    python benchmarks/same_results.py train FOLDER [--source CHECKOUT]
    python benchmarks/same_results.py compare FOLDER OTHER

`train` makes four studies with the code of a checkout: smoke, lora_grid with 20 steps, lora_asha
with 24, and a grid that is killed and started again. All run in one process with one thread, so
that nothing depends on which worker is free. `compare` says where two such folders differ: tables,
verdict and effects must be equal but for times and for what a machine is busy with.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

_ALIKE = (
    "executor=in_process",
    "executor.threads=1",
    "tracking=disabled",
    "trainer.precision=fp32",
)
_SMALL = ("data.max_train_rows=400", "data.max_dev_rows=120", "data.max_length=48")
_SHORT = ("trainer.warmup_steps=2",)
STUDIES = {
    "smoke": ("+experiment=smoke",),
    "lora_grid": (
        *("+experiment=lora_grid", "trainer.max_steps=20", "trainer.eval_steps=10"),
        *(*_SMALL, *_SHORT),
    ),
    "lora_asha": (
        *("+experiment=lora_asha", "trainer.max_steps=24", "trainer.eval_steps=3"),
        *(*_SMALL, *_SHORT),
    ),
    "killed": (
        *("+experiment=lora_grid", "trainer.max_steps=20", "trainer.eval_steps=5"),
        *(*_SMALL, *_SHORT, "executor.pack_size=1", "name=killed"),
    ),
}
#: Finished runs after which a study is killed.
_KILLED_AFTER = {"killed": 3}
#: What a clock or a memory meter says, and what depends on them.
_MEASURED = {"train_seconds", "tokens_per_second", "peak_memory_mb", "worker", "wandb_url"}
#: Of scores; a run that went on from a checkpoint is rounded as one that was never stopped.
_TOLERANCE = 1e-6


def train(folder: Path, source: Path) -> None:
    for name, overrides in STUDIES.items():
        command = [sys.executable, "-m", "sweep", *overrides, *_ALIKE, f"results_dir={folder}"]
        if name in _KILLED_AFTER:
            _kill(command, source, folder / name, after=_KILLED_AFTER[name])
        began = time.perf_counter()
        subprocess.run(command, env=_environment(source), check=True, stdout=subprocess.DEVNULL)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


def _kill(command: list[str], source: Path, study: Path, *, after: int) -> None:
    process = subprocess.Popen(command, env=_environment(source), stdout=subprocess.DEVNULL)
    while process.poll() is None and len(list(study.glob("runs/*/run.json"))) < after:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        sys.exit(f"{study} ended before it could be killed")


def _environment(source: Path) -> dict[str, str]:
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**os.environ, **one_thread, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(source / "src")}


def differences(one: Path, other: Path) -> Iterator[str]:
    """Every place where two folders of studies differ."""
    for name in STUDIES:
        for file in ("table.csv", "leaderboard.csv", "effects.csv", "importance.csv"):
            for found in _of_tables(one / name / file, other / name / file):
                yield f"{name}/{file}: {found}"
        for file in ("verdict.json", "confirmation.json"):
            for found in _of_json(_json(one / name / file), _json(other / name / file)):
                yield f"{name}/{file}{found}"


def _of_tables(one: Path, other: Path) -> Iterator[str]:
    if not (one.exists() and other.exists()):
        if one.exists() or other.exists():
            yield f"only one of both has it: {one.exists()}, {other.exists()}"
        return
    tables = [pd.read_csv(path, dtype={"config_id": str}) for path in (one, other)]
    first, second = (t.drop(columns=_MEASURED & set(t.columns)) for t in tables)
    if list(first.columns) != list(second.columns) or len(first) != len(second):
        yield f"{first.shape} {list(first.columns)} and {second.shape} {list(second.columns)}"
        return
    for column in first.columns:
        for row, (a, b) in enumerate(zip(first[column], second[column], strict=True)):
            if not _alike(a, b):
                yield f"row {row}, {column}: {a} and {b}"


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _of_json(one: Any, other: Any, at: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _of_json(one.get(key), other.get(key), f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from _of_json(*pair, f"{at}[{place}]")
    elif not _alike(one, other):
        yield f"{at}: {one} and {other}"


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (one != one and other != other) or abs(one - other) < _TOLERANCE
    return bool(one == other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train")
    training.add_argument("folder", type=Path)
    here = Path(__file__).resolve().parents[1]
    training.add_argument("--source", type=Path, default=here, help="the checkout to run")
    comparing = verbs.add_parser("compare")
    comparing.add_argument("folders", type=Path, nargs=2)
    asked = parser.parse_args()
    if asked.verb == "train":
        train(asked.folder.resolve(), asked.source.resolve())
        return
    found = list(differences(*asked.folders))
    print("\n".join(found) or f"{', '.join(STUDIES)}: equal")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
