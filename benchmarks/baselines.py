"""What the baselines of the frozen base cost beside `lora_grid`, whose time its plan tells.

python benchmarks/baselines.py [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import summary, write

from sweep.config.compose import load_settings
from sweep.execute.cores import physical_cores
from sweep.execute.fresh import in_fresh_process
from sweep.export.test_scores import splits_set_aside
from sweep.train.baselines import score_baselines

_GRID = "+experiment=lora_grid"


def planned() -> dict[str, Any]:
    """Seconds of the search, and of search and confirmation, by `mode=plan`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sweep", _GRID, "mode=plan", "tracking=disabled"]
        subprocess.run(
            [*command, f"results_dir={folder}"],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        plan = json.loads((Path(folder) / "lora_grid" / "plan.json").read_text(encoding="utf-8"))
    return {"search_seconds": plan["seconds"], "workers": plan["workers"], "runs": plan["runs"]}


def scored() -> dict[str, float]:
    """Wall time in a fresh process, as at the end of a sweep, and of each baseline in it."""
    settings = load_settings([_GRID])[0]
    recipe = settings.recipe(settings.search.seeds[0])
    splits = ("dev", *splits_set_aside(recipe.data))
    start = time.perf_counter()
    kinds = ("cosine", "head")
    found = in_fresh_process(score_baselines, recipe, kinds, splits, len(physical_cores()))
    wall = time.perf_counter() - start
    return {"wall_seconds": wall, **{one.kind: one.seconds for one in found}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    raw = []
    for _ in range(repeats):
        # One after the other, so that a busy machine slows both.
        raw.append({**planned(), **scored()})
        print(raw[-1])
    of_search = [one["wall_seconds"] / one["search_seconds"] for one in raw]
    path = write(
        "baselines",
        {
            "says": "cosine and linear head, dev and test pairs, beside the time that mode=plan "
            "expects of lora_grid's search, without its confirmation",
            "share_of_search": summary(of_search),
            "wall_seconds": summary([one["wall_seconds"] for one in raw]),
            "raw": raw,
        },
    )
    print(path)


if __name__ == "__main__":
    main()
