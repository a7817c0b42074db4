"""What scoring takes in each form of an export: pairs a CPU second, and size.

    python benchmarks/export_forms.py DIR [--rounds 3] [--pairs 128]

`DIR` is what `python -m sweep export STUDY --merge --onnx --int8 --to DIR` has written. All forms
are loaded in one process, on one thread, and take turns over the same pairs of dev. Seconds are
those of the process: what else the machine does counts little. With bitsandbytes the adapter is
scored on an nf4 base, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from common import summary, write

from sweep.export.cost import loaded, measurable, pairs_of
from sweep.export.exported import read_recipe
from sweep.export.formats import in_batches


def measure(folder: Path, *, rounds: int, pairs: int) -> dict[str, object]:
    recipe = read_recipe(folder)
    rows, names = pairs_of(recipe)[:pairs], measurable(folder, recipe)
    scores = {name: loaded(name, folder, recipe, threads=1) for name in names}
    raw: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(1 + rounds):
        for name, score in scores.items():
            start = time.process_time()
            in_batches(score, rows)
            rate = len(rows) / (time.process_time() - start)
            # The first turn prepares what is kept for the others.
            raw[name] += [rate] * (turn > 0)
            print(name, turn, round(rate, 1), file=sys.stderr, flush=True)
    middle = {name: statistics.median(rates) for name, rates in raw.items()}
    size = {
        file.parent.name: round(file.stat().st_size / 1e6, 1) for file in folder.glob("*/model.*")
    }
    return {
        "unit": "pairs a CPU second on one thread, batches of 32 pairs of like length",
        "model": recipe.model.hub_name or recipe.model.path,
        "pairs": len(rows),
        "raw": raw,
        "pairs_per_cpu_second": {name: summary(rates) for name, rates in raw.items()},
        "merged_over_adapter": middle["merged"] / middle["adapter"],
        "int8_over_merged": middle["int8"] / middle["merged"] if "int8" in middle else None,
        "file_mb": size,
        "load_average": os.getloadavg(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=128)
    asked = parser.parse_args()
    found = measure(asked.folder.resolve(), rounds=asked.rounds, pairs=asked.pairs)
    print(write("export_forms", found))


if __name__ == "__main__":
    main()
