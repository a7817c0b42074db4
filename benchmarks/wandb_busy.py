"""Many runs at wandb, offline, on a machine without a free core: does it hold each of them?

    python benchmarks/wandb_busy.py [--runs 200]

As many processes as there are cores spin at normal priority. Runs end one after the other, faster
than a training would; each has ten evaluations. In the end each `.wandb` file is read back.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from common import write
from wandb.proto import wandb_internal_pb2

from sweep.core.recipe import Lora, Recipe
from sweep.loop.ports import Totals
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, RunState
from sweep.watch.tracked_values import StudyLog
from sweep.watch.wandb_log import wandb_watcher
from sweep.watch.wandb_target import Target

_STEPS = range(10, 110, 10)


def spin() -> None:
    while True:
        pass


def ended(number: int) -> tuple[Run, Finished]:
    run = Run(number, {"rank": f"r{number}"}, Recipe(lora=Lora(r=number + 1)))
    curve = tuple(Evaluation(s, s / 10, s / 200 + number / 1e4, s / 300, 0.5) for s in _STEPS)
    best = curve[-1].score
    outcome = Outcome(RunState.COMPLETE, score=best, evaluations=curve, train_seconds=number / 7)
    return run, Finished(run.id, outcome)


def records_of(path: Path) -> list[Any]:
    """wandb's own messages, from its log of 32 KiB blocks."""
    protocol: Any = wandb_internal_pb2
    content, position, piece, found = path.read_bytes(), 7, b"", []
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, position)
        piece += content[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):
            found.append(protocol.Record.FromString(piece))
            piece = b""
    return found


def is_whole(path: Path) -> str | None:
    """Id of the run that a file holds in full; None where something lacks."""
    name, summary, steps, is_over = None, set(), 0, False
    for record in records_of(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            config = {item.key: item.value_json for item in record.run.config.update}
            name = json.loads(config.get("run_id", "null")) or record.run.job_type
        elif kind == "summary":
            summary |= {item.key for item in record.summary.update}
        steps += kind == "history"
        is_over = is_over or kind == "exit"
    is_study = name == "study"
    is_scored = ("best_pearson" if is_study else "pearson") in summary
    return name if is_over and is_scored and (is_study or steps == len(_STEPS)) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(cores)]
    for process in busy:
        process.start()
    with tempfile.TemporaryDirectory(prefix="sweep-wandb-") as scratch:
        folder = Path(scratch) / "study"
        table = pd.DataFrame({"state": ["complete"], "pearson": [0.5]})
        watcher = wandb_watcher(
            folder,
            mode="offline",
            target=Target("benchmark"),
            timeout_s=30.0,
            searched_keys=("lora.r",),
            read_study=lambda: StudyLog(table),
            on_url=lambda *_: None,
            say=print,
        )
        began = time.perf_counter()
        watcher.opened(Totals("busy", asked.runs))
        for number in range(asked.runs):
            run, event = ended(number)
            watcher.run_event(run, event)
        watcher.closed()
        queued = time.perf_counter() - began
        watcher.finish()
        seconds = time.perf_counter() - began
        held = Counter(map(is_whole, folder.glob("wandb/offline-run-*/*.wandb")))
    for process in busy:
        process.kill()
    summary = {
        "runs": asked.runs,
        "busy_processes": cores,
        "files": sum(held.values()),
        "whole_runs": len(held.keys() - {None, "study"}),
        "study": held["study"],
        "loop_waited_s": round(queued, 3),
        "seconds": round(seconds, 1),
    }
    print(write("wandb_busy", {"summary": summary}))
    print(summary)
    is_right = summary["whole_runs"] == asked.runs and held["study"] == 1 and held[None] == 0
    sys.exit(not is_right or summary["files"] != asked.runs + 1)


if __name__ == "__main__":
    main()
