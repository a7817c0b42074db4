"""Opening a study of Optuna, asking it empty, reading it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna

from sweep.core.recipe import SEARCHABLE_KEYS
from sweep.loop.trial import Trial
from sweep.search import OptunaSearch, SearchTask
from sweep.space.space import parse_space

GRID = {"lora.r": [4, 8, 16], "lora.target_modules": ["qv", ["query", "key"]]}


def search(folder: Path, space: dict[str, Any] = GRID, **changes: Any) -> OptunaSearch:
    arguments: dict[str, Any] = {"name": "s", "sampler": "grid", "num_trials": 5, **changes}
    folder.mkdir(exist_ok=True)
    parsed = parse_space(space, valid_keys=SEARCHABLE_KEYS)
    return OptunaSearch(folder / "study.db", SearchTask(space=parsed, **arguments))


def ask_all(opened: OptunaSearch) -> list[Trial]:
    trials = []
    while (trial := opened.ask()) is not None:
        trials.append(trial)
    return trials


def points(trials: list[Trial]) -> list[str]:
    return [json.dumps(t.params, sort_keys=True) for t in trials]


def states(folder: Path) -> list[str]:
    storage = f"sqlite:///{folder / 'study.db'}"
    names = optuna.get_all_study_names(storage)
    newest = max(names, key=lambda n: int(n.partition("~")[2] or 1))
    return [t.state.name for t in optuna.load_study(study_name=newest, storage=storage).trials]
