"""Folders of studies that `Results` itself has written, and how the tests read a page."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from sweep.core.recipe import Recipe
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, RunState, Started
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


def config_file(folder: Path, *, name: str, seeds: Sequence[int] = (0,)) -> None:
    recipe = asdict(Recipe())
    recipe["model"]["path"] = "some/model"
    recipe["data"]["label_range"] = [0.0, 5.0]
    del recipe["seed"]
    search = {"sampler": "grid", "n_trials": 20, "seeds": list(seeds), "sampler_seed": 0}
    content = {
        "name": name,
        **recipe,
        "search": {**search, "space": SPACE},
        "results_dir": "results",
        "baseline": "53aa51172d14",
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
        pearson=score,
        pearson_last=score,
        best_step=200,
        spearman=score,
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
) -> Results:
    """A study's folder; `failures` and `unfinished` go by trial, `spread` is each run's own."""
    folder.mkdir(parents=True, exist_ok=True)
    config_file(folder, name=name, seeds=seeds)
    np.save(folder / "dev_labels.npy", LABELS)
    results = Results(folder, searched_keys=KEYS, versions=VERSIONS)
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
    # Most tests look at what the report says by itself; verdict files have tests of their own.
    (folder / "verdict.json").unlink(missing_ok=True)
    return results


def words(params: dict[str, Any]) -> str:
    dropout = f"{params['lora.lora_dropout']:g}"
    alpha, targets = params["lora.lora_alpha"], params["lora.target_modules"]
    return f"r {params['lora.r']}, alpha {alpha}, dropout {dropout}, {targets}"


def study_board(folder: Path) -> Any:
    """The leaderboard as `Results` computes it, not as the report reads it."""
    return Results(folder, searched_keys=KEYS, versions=VERSIONS).leaderboard()


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def put(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def with_findings(folder: Path) -> list[str]:
    """All files of the contract; returns the config ids, best first."""
    ids = list(study_board(folder)["config_id"])
    sentences = ["r 8 on all-linear is as good as the best.", "It beats the default by +0.02."]
    put(
        folder,
        "verdict.json",
        {
            "best": ids[0],
            "recommended": ids[1],
            "baseline": ids[5],
            "tie_set": ids[:3],
            "beats_baseline": True,
            "versus_baseline": {"difference": 0.021, "ci_low": 0.011, "ci_high": 0.034},
            "seed_sd": None,
            "dev_sd": 0.01,
            "confirmed": True,
            "shrinkage": 0.006,
            "sentences": sentences,
        },
    )
    effects = [
        ("lora.target_modules", "all-linear", 4, 0.86, 0.0, None, None, False),
        ("lora.target_modules", "qv", 4, 0.56, -0.3, -0.32, -0.28, True),
        ("lora.lora_dropout", "0.0", 4, 0.71, 0.0, None, None, False),
        ("lora.lora_dropout", "0.1", 4, 0.708, -0.002, -0.01, 0.006, False),
    ]
    columns = ["key", "level", "num_configs", "mean", "difference"]
    columns += ["ci_low", "ci_high", "distinguishable"]
    pd.DataFrame(effects, columns=columns).to_csv(folder / "effects.csv", index=False)
    shares = [("lora.lora_dropout", 0.05, 0.0, 0.1), ("lora.target_modules", 0.9, 0.8, 0.95)]
    columns = ["key", "importance", "ci_low", "ci_high"]
    pd.DataFrame(shares, columns=columns).to_csv(folder / "importance.csv", index=False)
    use = [
        (config_id, f"{config_id}-s0", layer, module, rank, rank * 0.25 + layer, 0.5)
        for config_id, rank in zip(ids[:2], (16, 8), strict=True)
        for layer, module in itertools.product(range(2), ("query", "value"))
    ]
    columns = ["config_id", "run_id", "layer", "module", "rank", "effective_rank", "norm"]
    pd.DataFrame(use, columns=columns).to_csv(folder / "rank_use.csv", index=False)
    leak = {
        "kind": "leak",
        "level": "warn",
        "sentence": "12 dev pairs are in train as well.",
        "count": 12,
        "examples": [["고양이가 앉아 있다", "A <b>cat</b> sits."]],
    }
    alike = {"kind": "labels", "level": "info", "sentence": "Labels are alike.", "count": 0}
    put(folder, "guard.json", {"findings": [alike, leak]})
    put(
        folder,
        "test.json",
        {
            "num_pairs": 500,
            "exported": {"config_id": ids[0], "pearson": 0.8412},
            "baseline": {"config_id": ids[5], "pearson": None},
        },
    )
    plans = [{"config_id": i, "seconds": 20.0, "peak_memory_mb": None} for i in ids]
    put(folder, "plan.json", {"workers": 2, "seconds": 200, "configs": plans})
    return ids
