"""Opening a study of Optuna, asking it empty, reading it back."""

from __future__ import annotations

import functools
import json
import tempfile
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
    if not (folder / "study.db").exists():
        (folder / "study.db").write_bytes(_empty_database())
    parsed = parse_space(space, valid_keys=SEARCHABLE_KEYS)
    return OptunaSearch(folder / "study.db", SearchTask(space=parsed, **arguments))


@functools.cache
def _empty_database() -> bytes:
    """As Optuna makes it, in a second of migrations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        storage.engine.dispose()
        return path.read_bytes()


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
