"""Folders of studies that `Results` itself has written, and how the tests read a page."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from sweep.core.files import write_text
from sweep.core.recipe import Data, Recipe
from sweep.core.words import settings_text
from sweep.data.guard import guard
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, RunState, Started
from sweep.stats.interval import Interval
from sweep.study.effects_files import write_findings
from sweep.study.final_scores import FinalScores, SplitScore, write_final_scores
from sweep.study.plan import Plan, PlannedConfig, write_plan
from sweep.study.rank_use import ModuleUse, write_rank_use
from sweep.study.reading import to_json
from sweep.study.study import Study
from sweep.study.tables import Results
from sweep.watch.report import build_report

KEYS = ("lora.r", "lora.lora_alpha", "lora.lora_dropout", "lora.target_modules")
SPACE = {
    "rank": {
        "r8_a16": {"lora.r": 8, "lora.lora_alpha": 16},
        "r16_a32": {"lora.r": 16, "lora.lora_alpha": 32},
    },
    "lora.lora_dropout": [0.0, 0.1],
    "lora.target_modules": ["qv", "all-linear"],
}
GRID = [
    {"lora.r": r, "lora.lora_alpha": 2 * r, "lora.lora_dropout": p, "lora.target_modules": target}
    for r, p, target in itertools.product((8, 16), (0.0, 0.1), ("qv", "all-linear"))
]
#: The base settings, which are in the grid.
BASELINE = Recipe().config_id
PARTS = ("train", "dev")
VERSIONS = {"sweep": "0.1.0", "torch": "2.13.0"}
LABELS = np.random.default_rng(0).uniform(0, 5, 120)
NOISE = np.random.default_rng(1).normal(size=120)


class Page(HTMLParser):
    """What the tests look at: elements with attributes, scripts, table cells, visible text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.texts: list[str] = []
        self.cells: list[str] = []
        self._inside: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside.add(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside.discard(tag)

    def handle_data(self, data: str) -> None:
        if "script" in self._inside:
            attributes, code = self.scripts[-1]
            self.scripts[-1] = (attributes, code + data)
        elif "style" not in self._inside:
            self.texts.append(data)
            if "td" in self._inside:
                self.cells[-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        kind = "application/json"
        return {str(a["data-for"]): json.loads(s) for a, s in self.scripts if a.get("type") == kind}


def page(folder: Path) -> Page:
    return Page(build_report(folder))


def config_file(
    folder: Path,
    *,
    name: str,
    seeds: Sequence[int] = (0,),
    more: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    # As the program keeps it: plain containers.
    recipe = json.loads(json.dumps(asdict(Recipe())))
    recipe["model"]["path"] = "some/model"
    recipe["data"]["label_range"] = [0.0, 5.0]
    del recipe["seed"]
    search = {"sampler": "grid", "n_trials": 20, "seeds": list(seeds), "sampler_seed": 0}
    content = {
        "name": name,
        **recipe,
        "search": {**search, "space": SPACE | {k: list(v) for k, v in (more or {}).items()}},
        "results_dir": "results",
        "baseline": BASELINE,
        "fingerprints": {"weights": "53aa51", "train": "9ab341"},
        "versions": VERSIONS,
    }
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    (folder / "config.yaml").write_text(text, encoding="utf-8")


def quality(params: dict[str, Any], seed: int) -> float:
    """Noise of a config's predictions: qv is clearly worse, the rest hardly matters."""
    return (2.5 if params["lora.target_modules"] == "qv" else 1.0) + 0.01 * seed


def outcome_of(run: Run, predictions: np.ndarray) -> Outcome:
    score = float(np.corrcoef(predictions, LABELS)[0, 1])
    rungs = tuple(
        Evaluation(step, step / 100, score - below, score - below, 0.5)
        for step, below in ((100, 0.05), (200, 0.0))
    )
    wide = run.recipe.lora.target_modules == "all-linear"
    return Outcome(
        RunState.COMPLETE,
        score=score,
        score_last=score,
        best_step=200,
        beside=score,
        evaluations=rungs,
        lora_params=run.recipe.lora.r * (40_000 if wide else 9_000),
        train_seconds=30.0,
        steps=200,
    )


def study(
    folder: Path,
    configs: Iterable[dict[str, Any]] = GRID,
    *,
    seeds: Sequence[int] = (0,),
    failures: dict[int, str] | None = None,
    unfinished: Sequence[int] = (),
    name: str = "lora_grid",
    spread: float = 0.3,
    more: Mapping[str, Sequence[Any]] | None = None,
) -> Results:
    """A study's folder; `failures` and `unfinished` go by trial, `spread` is each run's own, `more`
    are further searched keys with their values."""
    folder.mkdir(parents=True, exist_ok=True)
    config_file(folder, name=name, seeds=seeds, more=more)
    np.save(folder / "dev_labels.npy", LABELS)
    keys = (*KEYS, *(more or {}))
    results = Results(folder, searched_keys=keys, versions=VERSIONS, baseline=BASELINE)
    for (trial, params), seed in itertools.product(enumerate(configs), seeds):
        recipe = replace(Recipe().with_values(params), seed=seed)
        run = Run(trial, {"cell": trial}, recipe)
        results.add(run)
        if trial in unfinished:
            results.handle(Started(run.id, "cpu0"))
            continue
        if reason := (failures or {}).get(trial):
            results.handle(Finished(run.id, Outcome(RunState.FAILED, reason=reason)))
            continue
        own = np.random.default_rng([trial, seed]).normal(size=len(LABELS))
        predictions = LABELS + quality(params, seed) * NOISE + spread * own
        run_dir = folder / "runs" / run.id
        run_dir.mkdir(parents=True)
        np.save(run_dir / "predictions.npy", predictions)
        results.handle(Finished(run.id, outcome_of(run, predictions)))
    results.write_tables()
    return results


def words(params: dict[str, Any]) -> str:
    """`r=8 alpha=16 dropout=0 on qv`."""
    return settings_text({key: params[key] for key in KEYS})


def study_board(folder: Path) -> Any:
    """The leaderboard as `Results` computes it, not as the report reads it."""
    return Results(folder, searched_keys=KEYS, versions=VERSIONS).leaderboard()


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def find_out(folder: Path) -> list[str]:
    """All that a study can hold beside its runs, each file written by its own producer; returns
    the config ids, best first."""
    found = Study.open(folder)
    results = found.results()
    results.write_tables()
    write_findings(results.search_ranking(), folder, keys=KEYS)
    ids = [row.config_id for row in results.configs()]
    write_rank_use(found.files, rank_use_of(dict(zip(ids[:2], (16, 8), strict=True))))
    write_text(found.files.guard, to_json(guard(leaking_pairs(folder / "pairs"))))
    planned = [PlannedConfig(i, 20.0, None, lora_params=1, head_params=1) for i in ids]
    write_plan(folder, Plan(2, len(ids), 200.0, 0, 0, 1.0, tuple(planned)))
    write_final_scores(found.files, final_scores(ids[0]))
    return ids


def rank_use_of(ranks: Mapping[str, int]) -> list[ModuleUse]:
    """Two layers with two modules each of one run of each config, by the rank that it had."""
    places = itertools.product(range(2), ("query", "value"))
    return [
        ModuleUse(config_id, f"{config_id}-s0", layer, module, rank, rank * 0.25 + layer, 0.5)
        for (config_id, rank), (layer, module) in itertools.product(ranks.items(), list(places))
    ]


def leaking_pairs(folder: Path) -> Data:
    """Pairs of which one is in train and in dev, with a text that HTML would read."""
    folder.mkdir(parents=True, exist_ok=True)
    leak = ("고양이가 앉아 있다", "A <b>cat</b> sits.", 4.0)
    own = {name: [(f"{name} {n} 가", f"{n} 나 {name}", n % 6) for n in range(12)] for name in PARTS}
    for name in PARTS:
        rows = [*own[name], leak]
        table = pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"])
        table.to_csv(folder / f"{name}.csv", index=False)
    train, dev = (str(folder / f"{name}.csv") for name in PARTS)
    return Data(source="files", train=train, dev=dev)


def final_scores(config_id: str) -> FinalScores:
    """A better config than the base settings, on 500 test pairs."""
    score = SplitScore(
        "test",
        digest="0",
        rows=500,
        adapter=Interval(0.8412, 0.81, 0.87),
        beside=0.83,
        config=Interval(0.8412, 0.81, 0.87),
        num_runs=1,
        baseline=Interval(0.8012, 0.77, 0.83),
        difference=Interval(0.04, 0.01, 0.07),
    )
    return FinalScores(config_id, f"{config_id}-s0", BASELINE, 2, (score,))
