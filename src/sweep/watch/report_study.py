"""What the files of a study say, read for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from sweep.watch.report_figures import Factor, Match

#: Distinct numbers of one key above which they are seen as a range, in thirds.
_MAX_LEVELS = 8
TRAINING = ("model", "data", "lora", "trainer", "search")
_SHORT = {
    "lora.lora_alpha": "alpha",
    "lora.lora_dropout": "dropout",
    "lora.target_modules": "targets",
    "trainer.learning_rate": "lr",
    "trainer.num_train_epochs": "epochs",
    "trainer.per_device_train_batch_size": "batch size",
}


@dataclass(frozen=True)
class Study:
    """What the folder says.

    `configs` is the leaderboard with `label`, the settings in words; `table` has a row per run.
    `records` are the `run.json` of finished runs.
    """

    folder: Path
    settings: Mapping[str, Any]
    table: pd.DataFrame
    configs: pd.DataFrame
    records: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Read what is there; what is missing is empty."""
        path = folder / "config.yaml"
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        paths = sorted((folder / "runs").glob("*/run.json"))
        study = cls(
            folder,
            {part: {} for part in TRAINING} | found,
            _csv(folder / "table.csv", "trial config_id seed state reason train_seconds"),
            _csv(folder / "leaderboard.csv", "config_id mean ci_low lora_params train_seconds"),
            tuple(record for path in paths if (record := _record(path)) is not None),
        )
        for frame in (study.table, study.configs):
            frame["label"] = [study.words(row) for row in frame.to_dict("records")]
        return study

    @property
    def name(self) -> str:
        return str(self.settings.get("name") or self.folder.resolve().name)

    @property
    def place(self) -> str:
        """The folder as commands name it."""
        return str(Path(self.settings.get("results_dir", self.folder.parent)) / self.folder.name)

    @cached_property
    def states(self) -> dict[str, int]:
        """Number of runs by state; a state without runs counts 0."""
        counted: dict[str, int] = dict(self.table["state"].value_counts())
        names = ("complete", "pruned", "failed", "running", "queued")
        return {name: int(counted.get(name, 0)) for name in names}

    @property
    def keys(self) -> list[str]:
        """Searched keys, in the order of the space."""
        return [column for column in self.table.columns if "." in column]

    @cached_property
    def factors(self) -> list[Factor]:
        """Searched dimensions with several scored values, the most separating first."""
        space = self.settings["search"].get("space", {})
        labelled = {
            name: next(iter(entry.values()))
            for name, entry in space.items()
            if isinstance(entry, Mapping) and "low" not in entry
        }
        scored = [key for key in self.keys if key in self.configs]
        groups = [[k for k in keys if k in scored] for keys in labelled.values()]
        alone = [[k] for k in scored if not any(k in group for group in groups)]
        built = [_factor(self.configs, keys) for keys in [*groups, *alone] if keys]
        varied = [factor for factor in built if len(factor.levels) > 1]
        return sorted(varied, key=lambda f: -_separation(self.configs, f))

    def words(self, row: Mapping[Any, Any]) -> str:
        """Searched settings of a row in words."""
        return ", ".join(setting(k, row[k]) for k in self.keys if k in row) or "base settings"

    def matches(self, factor: Factor) -> list[Match]:
        """Configs that differ in this factor alone, in groups of two or more."""
        groups: dict[tuple[str, ...], dict[str, tuple[str, float]]] = {}
        for config_id, mean in zip(self.configs["config_id"], self.configs["mean"], strict=True):
            others = tuple(f.values[config_id] for f in self.factors if f is not factor)
            groups.setdefault(others, {})[factor.level_of[config_id]] = (config_id, mean)
        return [match for match in groups.values() if len(match) > 1]


def _factor(configs: pd.DataFrame, keys: list[str]) -> Factor:
    """The factor that these keys make together; many numbers are put into thirds."""
    ids = configs["config_id"]
    column = configs[keys[0]]
    rows = configs[keys].to_dict("records")
    name = " and ".join(short(key) for key in keys)
    if len(keys) == 1 and column.nunique() > _MAX_LEVELS and pd.api.types.is_numeric_dtype(column):
        thirds = pd.qcut(column, 3, duplicates="drop")
        ends = column.groupby(thirds, observed=True).agg(["min", "max"])
        names = {third: f"{low:.3g} to {high:.3g}" for third, low, high in ends.itertuples()}
        return Factor(
            name,
            levels=tuple(names.values()),
            level_of={i: names[third] for i, third in zip(ids, thirds, strict=True)},
            values=dict(zip(ids, column.map(str), strict=True)),
            numbers=dict(zip(ids, column.astype(float), strict=True)),
            log=bool(column.min() > 0 and column.max() > 10 * column.min()),
        )
    alone = len(keys) == 1
    ordered = configs.drop_duplicates(keys).sort_values(keys)[keys].to_dict("records")

    def words(row: Mapping[Any, Any]) -> str:
        return ", ".join(setting(key, value, bare=alone) for key, value in row.items())

    level_of = dict(zip(ids, map(words, rows), strict=True))
    return Factor(name, tuple(dict.fromkeys(map(words, ordered))), level_of, level_of)


def _separation(configs: pd.DataFrame, factor: Factor) -> float:
    """Share of the scores' variance between levels, adjusted for their number."""
    levels = configs["config_id"].map(factor.level_of)
    inside = configs["mean"] - configs["mean"].groupby(levels).transform("mean")
    free = len(configs) - levels.nunique()
    total = float(configs["mean"].var()) if len(configs) > 1 else 0.0
    return 1 - float((inside**2).sum()) / free / total if free > 0 and total > 0 else 0.0


def short(key: str) -> str:
    return _SHORT.get(key, key.rpartition(".")[2].replace("_", " "))


def setting(key: str, value: object, *, bare: bool = False) -> str:
    """A key and its value in words; targets speak for themselves."""
    if isinstance(value, float):
        whole = "none" if pd.isna(value) else f"{value:.0f}"
        text = whole if pd.isna(value) or value.is_integer() else f"{value:.3g}"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if bare or key == "lora.target_modules" else f"{short(key)} {text}"


def _csv(path: Path, columns: str) -> pd.DataFrame:
    """A table of the study, empty with these columns before it is first written.

    Only an empty cell is missing: `none` and `NA` may be labels.
    """
    if not path.exists():
        return pd.DataFrame(columns=columns.split())
    return pd.read_csv(path, dtype={"config_id": str}, keep_default_na=False, na_values=[""])


def _record(path: Path) -> dict[str, Any] | None:
    """A `run.json`, or None when it can't be read: the sweep trains that run again."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return record
