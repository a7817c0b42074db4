"""Rows of `table.csv` and of `leaderboard.csv`, as values. Missing is None."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

from sweep.core.metric import PEARSON, Metric
from sweep.core.recipe import Recipe
from sweep.core.words import label_of, settings_text
from sweep.loop.objectives import COSTS
from sweep.loop.trial import RunState
from sweep.stats.pareto import pareto_front
from sweep.study.files import StudyFiles
from sweep.study.reading import built, missing_is_none, read_csv
from sweep.study.record import Record

#: Whole numbers that may be missing: kept whole in a table instead of turning into floats.
_INTEGERS = (
    *("trial", "seed", "best_step", "adapted_modules", "lora_params", "head_params", "steps"),
    *("pack_size", "trained_params"),
)
_RUN_HEAD = ("trial", "config_id", "seed", "state", "reason")
_SCORES = ("score", "score_last", "best_step", "beside")
_COSTS = (
    "adapted_modules",
    "lora_params",
    "head_params",
    "train_seconds",
    "steps",
    "tokens_per_second",
    "peak_memory_mb",
    "pack_size",
    "worker",
)
_CONFIG_HEAD = ("rank", "config_id", "trial", "n_seeds", "mean", "std", "ci_low", "ci_high")
_CONFIG_TAIL = ("lora_params", "train_seconds", "confirmed", "search_mean", "unsteady")
#: What every row ends with: whether it is a config of the search, and all that it trains.
_KIND = ("kind", "trained_params")
LORA, BASELINE = "lora", "baseline"
#: What a run leaves, by the name of its column.
MEASURED = ("reason", *_SCORES, *_COSTS)
ByColumn = Mapping[str, Any]


@dataclass(frozen=True)
class RunRow:
    """A run: its config, its state, what it scored and what it cost.

    `values` are the searched keys and their values, lists as text. A run of full fine-tuning is of
    no trial.
    """

    trial: int | None
    config_id: str
    seed: int
    state: RunState
    values: Mapping[str, Any]
    reason: str | None = None
    score: float | None = None
    score_last: float | None = None
    best_step: int | None = None
    beside: float | None = None
    scaling: float | None = None
    precision: str | None = None
    adapted_modules: int | None = None
    lora_params: int | None = None
    head_params: int | None = None
    train_seconds: float | None = None
    steps: int | None = None
    tokens_per_second: float | None = None
    peak_memory_mb: float | None = None
    pack_size: int | None = None
    worker: str | None = None
    wandb_url: str | None = None
    kind: str = LORA
    trained_params: int | None = None
    base_memory_mb: float | None = None

    @property
    def run_id(self) -> str:
        return f"{self.config_id}-s{self.seed}"

    @property
    def words(self) -> str:
        """`r=8 alpha=16 on qv`."""
        return settings_text(self.values)


@dataclass(frozen=True)
class ConfigRow:
    """A config in the order of the ranking, with what its place rests on.

    `unsteady` says how many of its seeds lie low, of a config whose mean says little.
    `measures` are what is sought beside the score, `pareto` says whether it is on their front; None
    where the score is sought alone.
    """

    rank: int
    config_id: str
    trial: int
    n_seeds: int
    mean: float
    values: Mapping[str, Any]
    std: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    tied_with_best: bool | None = None
    lora_params: int | None = None
    train_seconds: float | None = None
    confirmed: bool = False
    search_mean: float | None = None
    unsteady: str | None = None
    measures: Mapping[str, float | None] = field(default_factory=dict)
    pareto: bool | None = None
    kind: str = LORA
    trained_params: int | None = None

    @property
    def words(self) -> str:
        """`r=8 alpha=16 on qv`."""
        return settings_text(self.values)

    def measure(self, name: str) -> float | None:
        """What is sought under this name."""
        if name not in COSTS:
            return self.mean
        found: float | None = self.measures.get(name, getattr(self, name, None))
        return found


Row = TypeVar("Row", RunRow, ConfigRow)


def searched(recipe: Recipe, keys: Sequence[str]) -> dict[str, Any]:
    """The searched keys and their values, lists and patterns as text."""
    values = {key: recipe.value_of(key) for key in keys}
    return {k: label_of(v) if isinstance(v, (tuple, dict)) else v for k, v in values.items()}


def by_standing(rows: Sequence[ConfigRow]) -> list[tuple[str, list[ConfigRow]]]:
    """The rows by what their scores rest on, each group with its title, best first.

    A score of the search alone has been chosen for being high: it can't be compared with one of
    fresh seeds, and may be higher without being better.
    """
    confirmed = [row for row in rows if row.confirmed]
    rest = [row for row in rows if not row.confirmed]
    groups = [
        ("confirmed on fresh seeds", confirmed),
        ("search only: a higher score here may be the luck of the choice", rest),
    ]
    return [(title, members) for title, members in groups if members]


def cost_front(rows: Sequence[ConfigRow], cost: str) -> list[ConfigRow]:
    """Configs that no other beats in score at the same or a lower cost, the cheapest first.

    Args:
        cost: A field with numbers; configs of which it is not known are on no front.
    """
    priced = [(row, row.measure(cost)) for row in rows]
    known = [(row, price) for row, price in priced if price is not None]
    points = [(row.mean, price) for row, price in known]
    flags = pareto_front(points, larger_is_better=[True, False])
    front = [pair for pair, is_on_it in zip(known, flags, strict=True) if is_on_it]
    return [row for row, _ in sorted(front, key=lambda pair: pair[1])]


def table_of_runs(
    rows: Sequence[RunRow],
    keys: Sequence[str],
    *,
    beside: Sequence[ByColumn] = (),
    metric: Metric = PEARSON,
) -> pd.DataFrame:
    """`table.csv`.

    Args:
        beside: Rows of baselines, which come last.
        metric: Of the study; columns of scores have its name.
    """
    costs = (*_COSTS, "wandb_url", *_KIND, "base_memory_mb")
    columns = [*_RUN_HEAD, *_SCORES, *keys, "scaling", "precision", *costs]
    table = pd.DataFrame([*map(flat, rows), *beside], columns=columns)
    return table.astype(dict.fromkeys(_INTEGERS, "Int64")).rename(columns=metric.column)


def table_of_configs(
    rows: Sequence[ConfigRow], keys: Sequence[str], *, beside: Sequence[ByColumn] = ()
) -> pd.DataFrame:
    """`leaderboard.csv`; what is sought and who is on its front come last.

    Args:
        beside: Rows of baselines, which come last and have no rank.
    """
    measures = dict.fromkeys(name for row in rows for name in row.measures)
    columns = [*_CONFIG_HEAD, "tied_with_best", *keys, *_CONFIG_TAIL, *_KIND, *measures]
    if any(row.pareto is not None for row in rows):
        columns.append("pareto")
    table = pd.DataFrame([*map(flat, rows), *beside], columns=columns)
    whole = ("rank", "trial", "n_seeds", "lora_params", "trained_params")
    return table.astype(
        {**dict.fromkeys(whole, "Int64"), "tied_with_best": "boolean", "confirmed": "boolean"}
    )


def read_runs(files: StudyFiles, keys: Sequence[str], metric: Metric) -> tuple[RunRow, ...]:
    """The runs as the driver last wrote them, also those that are under way; no baselines."""
    rows = _of_the_search(_table_rows(files, metric))
    return tuple(_typed(RunRow, row, keys, state=RunState(row["state"])) for row in rows)


def read_full_runs(files: StudyFiles, keys: Sequence[str], metric: Metric) -> tuple[RunRow, ...]:
    """The runs of full fine-tuning as the driver last wrote them."""
    rows = [row for row in _table_rows(files, metric) if row.get("kind") == BASELINE]
    return tuple(
        _typed(RunRow, row, keys, state=RunState(row["state"]))
        for row in rows
        if row["seed"] is not None
    )


def _table_rows(files: StudyFiles, metric: Metric) -> list[dict[str, Any]]:
    return [metric.from_files(row) for row in missing_is_none(read_csv(files.table))]


def read_configs(files: StudyFiles, keys: Sequence[str]) -> tuple[ConfigRow, ...]:
    """The ranking as the driver last wrote it; no baselines."""
    own = {field.name for field in dataclasses.fields(ConfigRow)}
    return tuple(
        _typed(
            ConfigRow,
            row,
            keys,
            measures={name: row[name] for name in COSTS if name in row and name not in own},
            confirmed=bool(row.get("confirmed")),
        )
        for row in _of_the_search(missing_is_none(read_csv(files.leaderboard)))
    )


def row_of(record: Record, keys: Sequence[str]) -> RunRow:
    """What is known of a run."""
    recipe, outcome = record.run.recipe, record.outcome
    row = RunRow(
        record.run.trial,
        recipe.config_id,
        recipe.seed,
        record.state,
        searched(recipe, keys),
        scaling=recipe.lora.scaling,
        precision=recipe.trainer.precision,
        wandb_url=record.wandb_url,
        worker=record.worker,
    )
    if outcome is not None:
        left = {name: getattr(outcome, name) for name in MEASURED}
        return dataclasses.replace(
            row,
            **left,
            trained_params=outcome.trained,
            base_memory_mb=outcome.base_memory_mb,
        )
    if not record.evaluations:
        return row
    last = record.evaluations[-1]
    return dataclasses.replace(row, score_last=last.score, steps=last.step)


def _of_the_search(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without baselines; an older program has written none, and no such column."""
    return [row for row in rows if row.get("kind") != BASELINE]


def flat(row: RunRow | ConfigRow) -> dict[str, Any]:
    """By column."""
    fields = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    measures = fields.pop("measures", {})
    return {**fields, **fields.pop("values"), **measures}


def _typed(kind: type[Row], row: Mapping[str, Any], keys: Sequence[str], **given: Any) -> Row:
    """A row of a CSV file; columns that an older program did not write are missing."""
    values = {key: row.get(key) for key in keys}
    fields = {
        field.name: _whole(row[field.name], str(field.type))
        for field in dataclasses.fields(kind)
        if field.name in row and field.name not in given
    }
    return built(kind, {**fields, **given, "values": values})


def _whole(value: Any, annotation: str) -> Any:
    """Pandas reads whole numbers beside missing ones as floats."""
    return int(value) if annotation.startswith("int") and isinstance(value, float) else value
