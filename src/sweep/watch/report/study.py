"""What the files of a study say, read for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.study.yaml_file import read_mapping
from sweep.watch.report.factors import Factor, factor_of, separation
from sweep.watch.report.words import setting

TRAINING = ("model", "data", "lora", "trainer", "search")


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
        found = read_mapping(path) if path.exists() else {}
        paths = sorted((folder / "runs").glob("*/run.json"))
        study = cls(
            folder,
            {part: {} for part in TRAINING} | found,
            _csv(folder / "table.csv", "trial config_id seed state reason train_seconds"),
            _csv(
                folder / "leaderboard.csv",
                "rank config_id trial n_seeds mean std ci_low ci_high tied_with_best "
                "lora_params train_seconds",
            ),
            tuple(record for path in paths if (record := _json(path)) is not None),
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
        own = Path(self.name) if Path(self.name).name == self.folder.name else self.folder.name
        return str(Path(self.settings.get("results_dir", self.folder.parent)) / own)

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
    def labels(self) -> dict[str, str]:
        """Settings in words by config id."""
        return dict(zip(self.table["config_id"], self.table["label"], strict=True))

    @cached_property
    def tied(self) -> set[str]:
        """Ids of the configs that can't be told from the best, itself among them."""
        flags = self.configs["tied_with_best"] == True  # noqa: E712 - missing is not tied
        return set(self.configs.loc[flags, "config_id"])

    @property
    def is_confirmed(self) -> bool:
        """Whether some configs are ranked by fresh seeds."""
        return "confirmed" in self.configs and bool(self.configs["confirmed"].eq(True).any())

    @cached_property
    def searched(self) -> pd.DataFrame:
        """`configs` as the search scored them, its best first: what a setting does rests on these.

        A confirmed score is one of fresh seeds, without the luck of having led. Only the leaders
        have one, so beside the scores of the search it makes their settings look bad. Missing are
        configs that the search did not finish, and the intervals and seeds of confirmed scores.
        """
        if not self.is_confirmed:
            return self.configs
        kept = self.configs[self.configs["search_mean"].notna()]
        other = kept["confirmed"].eq(True)
        fresh = {name: kept[name].mask(other) for name in ("ci_low", "ci_high", "n_seeds")}
        scored = kept.assign(mean=kept["search_mean"], **fresh)
        return scored.sort_values("mean", ascending=False, kind="stable", ignore_index=True)

    @cached_property
    def factors(self) -> list[Factor]:
        """Dimensions with several scored values, the most separating first."""
        return self._factors(self.configs)

    @cached_property
    def searched_factors(self) -> list[Factor]:
        """The same for the configs that the search scored."""
        return self._factors(self.searched)

    def _factors(self, configs: pd.DataFrame) -> list[Factor]:
        space = self.settings["search"].get("space", {})
        mappings = {name: entry for name, entry in space.items() if isinstance(entry, Mapping)}
        # A label may be named `low`, too.
        drawn = {name for name, e in mappings.items() if isinstance(e.get("low"), (int, float))}
        labelled = {
            name: next(keys for label, keys in entry.items() if label != "when")
            for name, entry in mappings.items()
            if name not in drawn and "values" not in entry
        }
        scored = [key for key in self.keys if key in configs]
        groups = [[k for k in keys if k in scored] for keys in labelled.values()]
        alone = [[k] for k in scored if not any(k in group for group in groups)]
        built = [
            factor_of(configs, keys, drawn=keys[0] in drawn) for keys in [*groups, *alone] if keys
        ]
        varied = [factor for factor in built if len(factor.levels) > 1]
        return sorted(varied, key=lambda f: -separation(self.searched, f))

    def words(self, row: Mapping[Any, Any]) -> str:
        """Searched settings of a row in words."""
        return ", ".join(setting(k, row[k]) for k in self.keys if k in row) or "base settings"

    def varies(self, key: str) -> bool:
        """Whether the configs that the search scored hold several values of this key."""
        return key in self.searched and self.searched[key].nunique() > 1

    # What other rooms found out; empty or None before they have.

    @cached_property
    def verdict(self) -> dict[str, Any] | None:
        return _json(self.folder / "verdict.json")

    @cached_property
    def effects(self) -> pd.DataFrame:
        columns = "key level num_configs mean difference ci_low ci_high distinguishable"
        return _csv(self.folder / "effects.csv", columns)

    @cached_property
    def importance(self) -> pd.DataFrame:
        return _csv(self.folder / "importance.csv", "key importance ci_low ci_high")

    @cached_property
    def rank_use(self) -> pd.DataFrame:
        columns = "config_id run_id layer module rank effective_rank norm"
        return _csv(self.folder / "rank_use.csv", columns)

    @cached_property
    def guard(self) -> dict[str, Any] | None:
        return _json(self.folder / "guard.json")

    @cached_property
    def test(self) -> dict[str, Any] | None:
        return _json(self.folder / "test.json")

    @cached_property
    def plan(self) -> dict[str, Any] | None:
        return _json(self.folder / "plan.json")


def _csv(path: Path, columns: str) -> pd.DataFrame:
    """A table of the study, empty with these columns before it is first written.

    Only an empty cell is missing: `none` and `NA` may be labels.
    """
    if not path.exists() or not path.stat().st_size:
        return pd.DataFrame(columns=columns.split())
    return pd.read_csv(path, dtype={"config_id": str}, keep_default_na=False, na_values=[""])


def _json(path: Path) -> dict[str, Any] | None:
    """An object, or None where it is missing or can't be read: a file of an earlier version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
