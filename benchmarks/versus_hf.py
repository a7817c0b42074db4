"""A whole search by this program, and by `Trainer.hyperparameter_search` over the same space.

    python benchmarks/versus_hf.py grid_demo
    python benchmarks/versus_hf.py grid_stsb --files FOLDER   # with sts-train.csv and sts-dev.csv

Both may use the whole machine, take turns, and start as a process of their own. Wall time counts
imports, loading, and for this program the export with its verification and final scores, which
the competitor does not do; `seconds_to_last`, from the same start to the end of the last config,
is the same work of both. `seconds_to_score` is until a person sees a score: a line of this program
that has one, and the competitor's first evaluation; `seconds_to_first` is until a run has ended.
Turn n trains seed n, since one seed's scores say little.
`hf_search.py` is the competitor's program.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pandas as pd
import psutil
from common import machine, runs_of, summary, write
from rich.progress import track

from sweep.config.compose import load_settings

HERE = Path(__file__).resolve().parent
_POLL_SECONDS = 0.5
#: "dev up to about 0.41" of runs under way, "dev 0.8123" of one that has ended.
_SCORE = re.compile(r"\bdev (up to (about )?)?-?[01]\.\d")
_TIMES = ("seconds", "seconds_to_score", "seconds_to_first", "seconds_to_best", "seconds_to_last")


def overrides(case: str, files: Path | None, steps: int) -> list[str]:
    search, data = case.split("_")
    common = [
        "confirm=none",
        "+experiment=" + {"grid": "lora_grid", "tpe": "lora_tpe"}[search],
        f"trainer.max_steps={steps}",
        f"trainer.eval_steps={steps // 2}",
    ]
    if data == "demo":
        return common
    if files is None:
        raise SystemExit("error: grid_stsb and tpe_stsb need --files FOLDER")
    return [
        *common,
        "data=files",
        f"data.train={files / 'sts-train.csv'}",
        f"data.dev={files / 'sts-dev.csv'}",
        *("data.text_a=5", "data.text_b=6", "data.label=4"),
        # A part of dev, so that evaluation takes the share of the time that it has in practice.
        "data.max_dev_rows=500",
    ]


class PeakMemory(threading.Thread):
    """Largest memory of a process and its children, in MB; what they share counts once."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.peak_mb = 0.0

    def run(self) -> None:
        while self._process.is_running():
            try:
                family = [self._process, *self._process.children(recursive=True)]
                total = sum(_own_share(p) for p in family) / 1e6
            except psutil.Error:
                continue
            self.peak_mb = max(self.peak_mb, total)
            time.sleep(_POLL_SECONDS)


def _own_share(process: psutil.Process) -> int:
    """Bytes: workers are forked from one process and share its libraries, each has its part."""
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


@dataclass(frozen=True)
class Ended:
    seconds: float
    memory_mb: float
    #: What was printed, each line with the second at which it came.
    lines: list[tuple[float, str]]


def run(command: list[str]) -> Ended:
    start = time.perf_counter()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryFile("w+") as err:
        process = psutil.Popen(command, stdout=PIPE, stderr=err, env=environment, text=True)
        memory = PeakMemory(process)
        memory.start()
        lines = [(time.perf_counter() - start, line) for line in process.stdout]
        code = process.wait()
        seconds = time.perf_counter() - start
        if code != 0:
            err.seek(0)
            raise SystemExit(f"error: {' '.join(command)} ended with {code}:\n{err.read()[-2000:]}")
        return Ended(seconds, memory.peak_mb, lines)


def by_sweep(arguments: list[str], keys: tuple[str, ...]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        command = [sys.executable, "-m", "sweep", *arguments, "tracking=disabled", "name=study"]
        ended = run([*command, f"results_dir={folder}"])
        study = Path(folder) / "study"
        table = runs_of(study)
        ids = table["config_id"] + "-s" + table["seed"].astype(int).astype(str)
        written = ids.map(lambda run: (study / "runs" / run / "run.json").stat().st_mtime)
        done = written - began
        return {
            "seconds": ended.seconds,
            "seconds_to_score": next(at for at, line in ended.lines if _SCORE.search(line)),
            "seconds_to_first": float(done.min()),
            "seconds_to_last": float(done.max()),
            "seconds_to_best": float(done[table["pearson"].idxmax()]),
            "trials": len(table),
            "steps": int(table["steps"].sum()),
            "best_pearson": float(table["pearson"].max()),
            "peak_memory_mb": ended.memory_mb,
            "precision": table["precision"].iloc[0],
            "train_seconds": float(table["train_seconds"].sum()),
            "scores": table[[*keys, "pearson"]].to_dict("records"),
        }


def by_trainer(arguments: list[str]) -> dict[str, Any]:
    ended = run([sys.executable, str(HERE / "hf_search.py"), *arguments])
    found = json.loads(ended.lines[-1][1])
    return {**found, "seconds": ended.seconds, "peak_memory_mb": ended.memory_mb}


def score_differences(
    raw: dict[str, list[dict[str, Any]]], keys: tuple[str, ...]
) -> dict[str, Any]:
    """Ours minus theirs in best dev Pearson, over configs that both have trained.

    Every turn has a seed of its own, and configs of one seed share its luck: the standard error is
    that of the turns' means. A sampler that learns draws other configs here and there, so that
    nothing is left to compare.
    """
    scores = {
        who: pd.concat(
            [pd.DataFrame(turn["scores"]).assign(turn=i) for i, turn in enumerate(turns)]
        )
        for who, turns in raw.items()
    }
    both = scores["sweep"].merge(scores["trainer"], on=[*keys, "turn"], suffixes=("", "_trainer"))
    difference = both["pearson"] - both["pearson_trainer"]
    by_seed = both.groupby(list(keys))[["pearson", "pearson_trainer"]].std()
    found = {
        "mean": difference.mean(),
        "standard_error": difference.groupby(both["turn"]).mean().sem(),
        "mean_absolute": difference.abs().mean(),
        "seed_sd_sweep": by_seed["pearson"].mean(),
        "seed_sd_trainer": by_seed["pearson_trainer"].mean(),
    }
    return {"runs": len(both), **{k: None if pd.isna(v) else float(v) for k, v in found.items()}}


def turns_of(path: Path, settings: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What an earlier call has measured."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["settings"] != settings:
        raise SystemExit(f"error: {path} was measured with {content['settings']}, not {settings}")
    if content["machine"] != machine():
        raise SystemExit(f"error: {path} was measured on {content['machine']}, not {machine()}")
    raw: dict[str, list[dict[str, Any]]] = content["raw"]
    known = set.intersection(*(set(turn) for turns in raw.values() for turn in turns))
    missing = {*_TIMES, "steps", "scores"} - known
    if missing:
        raise SystemExit(f"error: {path} is older than {', '.join(sorted(missing))}; measure anew")
    return raw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=["grid_demo", "grid_stsb", "tpe_demo", "tpe_stsb"])
    parser.add_argument("--files", type=Path, help="folder of the STS benchmark's files")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--add", type=Path, help="JSON of the same case: its turns count as well")
    asked = parser.parse_args()
    arguments = overrides(asked.case, asked.files, asked.steps)
    searched_keys = load_settings(arguments)[0].space.keys
    settings = {"case": asked.case, "steps": asked.steps}
    raw = turns_of(asked.add, settings) if asked.add else {"sweep": [], "trainer": []}
    done = len(raw["sweep"])
    for seed in track(range(done, done + asked.repeats), description=asked.case):
        seeded = [*arguments, f"search.seeds=[{seed}]"]
        if asked.case.startswith("tpe"):  # A grid draws nothing.
            seeded.append(f"search.sampler_seed={seed}")
        ours, theirs = by_sweep(seeded, searched_keys), by_trainer(seeded)
        if ours["steps"] != theirs["steps"]:
            raise SystemExit(
                f"error: not the same work: {ours['steps']} steps here, {theirs['steps']} there"
            )
        raw["sweep"].append(ours)
        raw["trainer"].append(theirs)
    pairs = list(zip(raw["sweep"], raw["trainer"], strict=True))
    keys = (*_TIMES, "peak_memory_mb", "best_pearson")
    content = {
        "settings": settings,
        "threads": {"sweep": "one worker per core, one thread each", "trainer": "torch's default"},
        "raw": raw,
        "summary": {who: {k: summary([r[k] for r in rs]) for k in keys} for who, rs in raw.items()},
        "times_as_fast": {
            key: summary([theirs[key] / ours[key] for ours, theirs in pairs]) for key in _TIMES
        },
        "score_differences": score_differences(raw, searched_keys),
    }
    path = write(f"versus_hf_{asked.case}_{asked.steps}", content)
    print(json.dumps({"times_as_fast": content["times_as_fast"], **content["summary"]}, indent=2))
    print(path)


if __name__ == "__main__":
    main()
