"""The report of a study of 1,000 runs: seconds to build, size, seconds to open in a browser.

    python benchmarks/report.py [--runs 1000] [--repeats 5]

The study is made up, in the form that a sweep leaves: 1,000 configs of one seed each over five
settings, ten evaluations a run, a fifth of them pruned, and every file that adds to the report.
Opening is timed by the browser itself (Navigation Timing), each time in a fresh profile, up to its
load event, and up to the first plot.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import yaml
from common import summary, write
from playwright.sync_api import Browser, sync_playwright

from sweep.core.recipe import Recipe
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, RunState
from sweep.study.effects_files import write_findings
from sweep.study.plan import Plan, PlannedConfig, write_plan
from sweep.study.rank_use import ModuleUse, write_rank_use
from sweep.study.study import Study
from sweep.study.tables import Results
from sweep.watch.report import build_report

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
SPACE = {
    "lora.r": [2, 4, 8, 16, 32],
    "lora.lora_alpha": [8, 16, 32, 64],
    "lora.lora_dropout": [0.0, 0.05, 0.1],
    "lora.target_modules": ["qv", "qkv", "attention", "mlp", "all-linear"],
    "trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
}
MODULES = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--browser", default="/usr/bin/chromium", help="path of the browser")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "report_1000"
        make_study(folder, args.runs)
        building = [build_seconds(folder) for _ in range(args.repeats)]
        page = folder / "report.html"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.browser, args=FLAGS)
            opening = [open_seconds(browser, page) for _ in range(args.repeats)]
            version = browser.version
            browser.close()
        content = {
            "runs": args.runs,
            "browser": version,
            "build_seconds": summary(building),
            "size_mb": page.stat().st_size / 1e6,
            "open_seconds": summary([load for load, _ in opening]),
            "first_plot_seconds": summary([plot for _, plot in opening]),
            "bars": {"build_seconds": 10, "size_mb": 8, "open_seconds": 2},
        }
        print(write("report", content))
    print(json.dumps(content, indent=2))


def build_seconds(folder: Path) -> float:
    start = time.perf_counter()
    build_report(folder)
    return time.perf_counter() - start


def open_seconds(browser: Browser, page: Path) -> tuple[float, float]:
    """Seconds from the start of the navigation to the load event and to the first plot."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.goto(page.as_uri())
    loaded = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    tab.locator(".plot").first.scroll_into_view_if_needed()
    tab.locator(".plot .main-svg").first.wait_for(state="attached")
    drawn = tab.evaluate("performance.now()") / 1000
    context.close()
    return float(loaded), float(drawn)


def make_study(folder: Path, num_runs: int) -> None:
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    settings = asdict(Recipe())
    del settings["seed"]
    search = {"sampler": "random", "n_trials": num_runs, "seeds": [0], "space": SPACE}
    content = {"name": folder.name, **settings, "search": search, "results_dir": "results"}
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    labels = random.uniform(0, 5, 500)
    np.save(folder / "dev_labels.npy", labels)
    results = Results(folder, searched_keys=tuple(SPACE), versions={"sweep": "made up"})
    for trial in range(num_runs):
        run = Run(trial, {"trial": trial}, draw_recipe(random))
        predictions = labels + random.uniform(1, 3) * random.normal(size=len(labels))
        run_dir = folder / "runs" / run.id
        run_dir.mkdir(parents=True, exist_ok=True)
        np.save(run_dir / "predictions.npy", predictions)
        results.add(run)
        score = float(np.corrcoef(labels, predictions)[0, 1])
        results.handle(Finished(run.id, outcome_of(run, score, pruned=trial % 5 == 4)))
    results.write_tables()
    find_out(folder, random)


def draw_recipe(random: np.random.Generator) -> Recipe:
    values = {
        key: choices[random.integers(len(choices))]
        for key, choices in SPACE.items()
        if isinstance(choices, list)
    }
    rate = float(np.exp(random.uniform(np.log(1e-4), np.log(1e-2))))
    return replace(Recipe().with_values({**values, "trainer.learning_rate": rate}), seed=0)


def outcome_of(run: Run, score: float, *, pruned: bool) -> Outcome:
    steps = [50 * (n + 1) for n in range(3 if pruned else 10)]
    rungs = tuple(Evaluation(s, s / 250, score * (1 - 20 / s), score, 0.5) for s in steps)
    params, seconds = 20_000 * run.recipe.lora.r, 20.0 + run.recipe.lora.r
    if pruned:
        return Outcome(RunState.PRUNED, reason="pruned", evaluations=rungs, steps=steps[-1])
    return Outcome(
        RunState.COMPLETE,
        score=score,
        score_last=score,
        best_step=steps[-1],
        beside=score,
        evaluations=rungs,
        lora_params=params,
        train_seconds=seconds,
        steps=steps[-1],
        peak_memory_mb=900.0,
    )


def find_out(folder: Path, random: np.random.Generator) -> None:
    """What other parts of the program add: effects, and plan and rank use of every config."""
    study = Study.open(folder)
    write_findings(study.results().search_ranking(), folder, keys=study.keys)
    board = study.leaderboard
    planned = [PlannedConfig(row.config_id, 25.0, 850.0, 1, 1) for row in board]
    seconds = 25.0 * len(planned) / 2
    write_plan(folder, Plan(2, len(planned), seconds, 0, 0, 1.0, tuple(planned)))
    use = [
        ModuleUse(row.config_id, f"{row.config_id}-s0", layer, module, rank, used, 1.0)
        for row in board
        for layer in range(6)
        for module in MODULES
        if (rank := row.values["lora.r"]) and (used := random.uniform(1, rank))
    ]
    write_rank_use(study.files, use)


if __name__ == "__main__":
    main()
