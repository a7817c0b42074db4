"""The study's records: a JSON a run, and the tables derived from them.

`runs/<run_id>/run.json` is the truth. `table.csv` (a row per run) and `leaderboard.csv` (a row
per config) are derived from it and may be deleted. Everything is written to a temporary name
and moved into place, so that a reader never meets half a file.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweep.core.files import remove_rung, write_text
from sweep.core.objectives import PEARSON, Objective, pareto_front
from sweep.core.recipe import Recipe
from sweep.core.space import label_of
from sweep.core.statistics import standings
from sweep.core.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Outcome,
    Paused,
    Run,
    RunState,
    Started,
)

logger = logging.getLogger(__name__)

RUN_COLUMNS = ("trial", "config_id", "seed", "state", "reason")
SCORE_COLUMNS = ("pearson", "pearson_last", "best_step", "spearman")
COST_COLUMNS = (
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

#: Whole numbers that may be missing: kept whole in the table instead of turning into floats.
_INTEGERS = ("best_step", "adapted_modules", "lora_params", "head_params", "steps", "pack_size")


@dataclass(frozen=True)
class Record:
    """A run and what is known of it."""

    run: Run
    state: RunState = RunState.QUEUED
    outcome: Outcome | None = None
    evaluations: tuple[Evaluation, ...] = ()
    worker: str | None = None
    wandb_url: str | None = None


class Results:
    """Writes the records of one study and knows what is done.

    Args:
        folder: The study's folder.
        searched_keys: Dotted keys that get a column of their own.
        versions: Versions of the libraries, kept with every run.
        objectives: What is sought; with several, the leaderboard shows the Pareto front.
    """

    def __init__(
        self,
        folder: Path,
        *,
        searched_keys: Sequence[str],
        versions: Mapping[str, str],
        objectives: Sequence[Objective] = (PEARSON,),
    ) -> None:
        self.folder = folder
        self._keys = tuple(searched_keys)
        self._versions = dict(versions)
        self._objectives = tuple(objectives)
        self._records: dict[str, Record] = {}
        self._next_write = 0.0
        for path in sorted((folder / "runs").glob("*/run.json")):
            record = _read_record(path)
            if record is not None:
                self._records[record.run.id] = record

    def done(self, run_id: str) -> Outcome | None:
        record = self._records.get(run_id)
        done = record is not None and record.state in (RunState.COMPLETE, RunState.PRUNED)
        return record.outcome if done and record is not None else None

    def finished(self) -> list[tuple[Run, Outcome]]:
        ended = (RunState.COMPLETE, RunState.PRUNED)
        done = [(r.run, r.outcome) for r in self._sorted() if r.state in ended]
        return [(run, outcome) for run, outcome in done if outcome is not None]

    def add(self, run: Run) -> None:
        self._records[run.id] = Record(run)
        self._write_tables_now_and_then()

    def set_wandb_url(self, run_id: str, url: str) -> None:
        """Remember where the run can be seen."""
        self._change(run_id, wandb_url=url)

    def handle(self, event: Event) -> None:
        if isinstance(event, Started):
            self._change(event.run_id, state=RunState.RUNNING, worker=event.worker, evaluations=())
        elif isinstance(event, Evaluated):
            rungs = (*self._records[event.run_id].evaluations, event.evaluation)
            self._change(event.run_id, evaluations=rungs)
        elif isinstance(event, Paused):
            self._change(event.run_id, state=RunState.QUEUED)
        elif isinstance(event, Finished):
            self._change(event.run_id, state=event.outcome.state, outcome=event.outcome)
            self._write_record(event.run_id)
            # One that was cut while it was paused has left it.
            remove_rung(self.folder / "runs" / event.run_id)
        self._write_tables_now_and_then()

    def close(self) -> None:
        """Put unfinished runs back in the queue and write the tables."""
        for run_id, record in self._records.items():
            if not record.state.is_finished():
                self._records[run_id] = dataclasses.replace(record, state=RunState.QUEUED)
        self.write_tables()

    def write_tables(self) -> None:
        """Write `table.csv` and `leaderboard.csv`."""
        write_text(self.folder / "table.csv", self.table().to_csv(index=False))
        write_text(self.folder / "leaderboard.csv", self.leaderboard().to_csv(index=False))

    def table(self) -> pd.DataFrame:
        """A row per run, in the order of the trials; missing values are empty."""
        columns = [*RUN_COLUMNS, *SCORE_COLUMNS, *self._keys, "scaling", "precision"]
        columns += [*COST_COLUMNS, "wandb_url"]
        rows = [_row(record, self._keys) for record in self._sorted()]
        table = pd.DataFrame(rows, columns=columns)
        return table.astype(dict.fromkeys(_INTEGERS, "Int64"))

    def leaderboard(self) -> pd.DataFrame:
        """A row per config with at least one score, best mean first."""
        configs = self._scored_configs()
        means = [_mean([_score(r) for r in records]) for records in configs]
        order = sorted(range(len(configs)), key=lambda i: -means[i])
        ranked = [configs[i] for i in order]
        intervals = self._intervals(ranked)
        rows = [
            {"rank": rank, **_config_row(records, self._keys), **interval}
            for rank, (records, interval) in enumerate(zip(ranked, intervals, strict=True), 1)
        ]
        head = ["rank", "config_id", "trial", "n_seeds", "mean", "std", "ci_low", "ci_high"]
        columns = [*head, "tied_with_best", *self._keys, "lora_params", "train_seconds"]
        table = pd.DataFrame(rows, columns=columns)
        table = table.astype({"lora_params": "Int64", "tied_with_best": "boolean"})
        return self._with_front(table, ranked) if len(self._objectives) > 1 else table

    def _with_front(self, board: pd.DataFrame, ranked: list[list[Record]]) -> pd.DataFrame:
        """The leaderboard with what is sought, where it lacks it, and who is on the front."""
        outcomes = [[r.outcome for r in records if r.outcome] for records in ranked]
        values = [[objective.of(found) for objective in self._objectives] for found in outcomes]
        points = [[math.nan if v is None else v for v in value] for value in values]
        for place, objective in enumerate(self._objectives):
            if objective != PEARSON and objective.name not in board:
                board[objective.name] = [value[place] for value in values]
        return board.assign(pareto=pareto_front(points, self._objectives))

    def best_run(self) -> Run | None:
        """The best run of the config on top of the leaderboard."""
        board = self.leaderboard()
        if board.empty:
            return None
        top = [r for r in self._scored() if r.run.recipe.config_id == board["config_id"].iloc[0]]
        return max(top, key=_score).run

    def records(self) -> list[Record]:
        """All records in the order of the trials."""
        return self._sorted()

    def _intervals(self, ranked: list[list[Record]]) -> list[dict[str, Any]]:
        """Confidence columns of each config, or nothing where predictions are not at hand."""
        labels_path = self.folder / "dev_labels.npy"
        if not ranked or not labels_path.exists():
            return [{} for _ in ranked]
        try:
            predictions = [[self._predictions(r) for r in records] for records in ranked]
        except OSError as error:
            logger.warning("No intervals in the leaderboard: %s", error)
            return [{} for _ in ranked]
        labels = np.load(labels_path)
        return [dataclasses.asdict(s) for s in standings(predictions, labels, best=0)]

    def _predictions(self, record: Record) -> np.ndarray:
        path = self.folder / "runs" / record.run.id / "predictions.npy"
        return np.asarray(np.load(path), dtype=np.float64)

    def _scored(self) -> list[Record]:
        return [r for r in self._sorted() if r.state is RunState.COMPLETE and r.outcome]

    def _scored_configs(self) -> list[list[Record]]:
        configs: dict[str, list[Record]] = {}
        for record in self._scored():
            configs.setdefault(record.run.recipe.config_id, []).append(record)
        return list(configs.values())

    def _sorted(self) -> list[Record]:
        return sorted(self._records.values(), key=lambda r: (r.run.trial, r.run.recipe.seed))

    def _change(self, run_id: str, **changes: Any) -> None:
        self._records[run_id] = dataclasses.replace(self._records[run_id], **changes)

    def _write_record(self, run_id: str) -> None:
        content = _to_json(self._records[run_id], self._versions)
        write_text(
            self.folder / "runs" / run_id / "run.json",
            json.dumps(content, indent=2, ensure_ascii=False),
        )

    def _write_tables_now_and_then(self) -> None:
        """Keep the files live at no more than a twentieth of the time, however long they get."""
        start = time.monotonic()
        if start < self._next_write:
            return
        self.write_tables()
        end = time.monotonic()
        self._next_write = end + max(1.0, 20 * (end - start))


def _row(record: Record, keys: Sequence[str]) -> dict[str, Any]:
    recipe = record.run.recipe
    outcome = record.outcome
    row: dict[str, Any] = {
        "trial": record.run.trial,
        "config_id": recipe.config_id,
        "seed": recipe.seed,
        "state": record.state.value,
        "scaling": recipe.lora.scaling,
        "precision": recipe.trainer.precision,
        "wandb_url": record.wandb_url,
        **_searched(recipe, keys),
    }
    if outcome is None:
        rungs = record.evaluations
        live = {"pearson_last": rungs[-1].pearson, "steps": rungs[-1].step} if rungs else {}
        return {**row, **live, "worker": record.worker}
    measured = ("reason", *SCORE_COLUMNS, *COST_COLUMNS)
    return {**row, **{column: getattr(outcome, column) for column in measured}}


def _config_row(records: list[Record], keys: Sequence[str]) -> dict[str, Any]:
    scores = [_score(r) for r in records]
    outcomes = [r.outcome for r in records if r.outcome is not None]
    recipe = records[0].run.recipe
    return {
        "config_id": recipe.config_id,
        "trial": records[0].run.trial,
        "n_seeds": len(records),
        "mean": _mean(scores),
        "std": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        **_searched(recipe, keys),
        "lora_params": outcomes[0].lora_params,
        "train_seconds": _mean([o.train_seconds or 0.0 for o in outcomes]),
    }


def _searched(recipe: Recipe, keys: Sequence[str]) -> dict[str, Any]:
    values = {key: recipe.value_of(key) for key in keys}
    return {k: label_of(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _score(record: Record) -> float:
    assert record.outcome is not None
    assert record.outcome.pearson is not None
    return record.outcome.pearson


def _mean(numbers: Sequence[float]) -> float:
    return float(np.mean(numbers))


def _to_json(record: Record, versions: Mapping[str, str]) -> dict[str, Any]:
    run, outcome = record.run, record.outcome
    return {
        "run_id": run.id,
        "name": run.name,
        "trial": run.trial,
        "params": run.params,
        "recipe": dataclasses.asdict(run.recipe),
        "outcome": dataclasses.asdict(outcome) if outcome else None,
        "wandb_url": record.wandb_url,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }


def _read_record(path: Path) -> Record | None:
    """The record of an earlier start; a file that can't be read counts as not done."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        recipe = Recipe.from_dict(content["recipe"])
        fields = dict(content["outcome"])
        rungs = tuple(Evaluation(**rung) for rung in fields.pop("evaluations"))
        outcome = Outcome(**{**fields, "state": RunState(fields["state"])}, evaluations=rungs)
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s can't be read (%s); the run will be trained again.", path, error)
        return None
    run = Run(content["trial"], content["params"], recipe)
    return Record(run, outcome.state, outcome, rungs, outcome.worker, content.get("wandb_url"))
