"""The study's records, and the tables derived from them.

`runs/<run_id>/run.json` (`record.py`) is the truth. `table.csv` (a row per run) and
`leaderboard.csv` (a row per config) are derived from it and may be deleted. Everything is
written to a temporary name and moved into place, so that a reader never meets half a file.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.core.files import remove_checkpoint, write_text
from sweep.loop.confirm import Confirming
from sweep.loop.objectives import PEARSON, Objective, pareto_front
from sweep.loop.trial import (
    Evaluated,
    Event,
    Finished,
    Outcome,
    Paused,
    Run,
    RunState,
    Started,
)
from sweep.stats.verdict import Verdict
from sweep.study.ranking import Ranking, searched
from sweep.study.record import Record, read_record, write_record

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

#: What a sweep has begun to confirm.
CONFIRMING = "confirmation.json"
#: Whole numbers that may be missing: kept whole in the table instead of turning into floats.
_INTEGERS = ("best_step", "adapted_modules", "lora_params", "head_params", "steps", "pack_size")


class Results:
    """Writes the records of one study and knows what is done.

    Args:
        folder: The study's folder.
        searched_keys: Dotted keys that get a column of their own.
        versions: Versions of the libraries, kept with every run.
        objectives: What is sought; with several, the leaderboard shows the Pareto front.
        search_seeds: Runs on later seeds are confirmation runs; None: there are none.
        baseline: `config_id` of the config to beat, if there is one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        searched_keys: Sequence[str],
        versions: Mapping[str, str],
        objectives: Sequence[Objective] = (PEARSON,),
        search_seeds: Collection[int] | None = None,
        baseline: str | None = None,
    ) -> None:
        self.folder = folder
        self._search_seeds = search_seeds
        self._baseline = baseline
        self.keys = tuple(searched_keys)
        self._versions = dict(versions)
        self._objectives = tuple(objectives)
        self._records: dict[str, Record] = {}
        self._next_write = 0.0
        self._confirming = _read_confirming(folder / CONFIRMING)
        for path in sorted((folder / "runs").glob("*/run.json")):
            record = read_record(path)
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
            write_record(self.folder, self._records[event.run_id], self._versions)
            # One that was cut while it was paused has left it.
            remove_checkpoint(self.folder / "runs" / event.run_id)
        self._write_tables_now_and_then()

    def confirms(self, confirming: Confirming) -> None:
        self._confirming = confirming
        text = json.dumps(dataclasses.asdict(confirming), indent=2)
        write_text(self.folder / CONFIRMING, text)

    def close(self) -> None:
        """Put unfinished runs back in the queue and write the tables."""
        for run_id, record in self._records.items():
            if not record.state.is_finished():
                self._records[run_id] = dataclasses.replace(record, state=RunState.QUEUED)
        self.write_tables()

    def write_tables(self) -> None:
        """Write `table.csv`, `leaderboard.csv` and `verdict.json`."""
        board = self._board()
        write_text(self.folder / "table.csv", self.table().to_csv(index=False))
        write_text(self.folder / "leaderboard.csv", self._ranking(board).to_csv(index=False))
        verdict = board.verdict(baseline=self._baseline)
        if verdict is not None:
            text = json.dumps(dataclasses.asdict(verdict), indent=2, ensure_ascii=False)
            write_text(self.folder / "verdict.json", text)

    def table(self) -> pd.DataFrame:
        """A row per run, in the order of the trials; missing values are empty."""
        columns = [*RUN_COLUMNS, *SCORE_COLUMNS, *self.keys, "scaling", "precision"]
        columns += [*COST_COLUMNS, "wandb_url"]
        rows = [_row(record, self.keys) for record in self._sorted()]
        table = pd.DataFrame(rows, columns=columns)
        return table.astype(dict.fromkeys(_INTEGERS, "Int64"))

    def leaderboard(self) -> pd.DataFrame:
        """A row per config with at least one score, best first: confirmed configs, then those
        with enough seeds, then by mean."""
        return self._ranking(self._board())

    def _with_front(self, table: pd.DataFrame) -> pd.DataFrame:
        """The leaderboard with what is sought, where it lacks it, and who is on the front.

        Pearson is the mean that is shown: after a confirmation, that of the fresh seeds.
        """
        found: dict[str, list[Outcome]] = {}
        for record in self._scored():
            if record.outcome is not None:
                found.setdefault(record.run.recipe.config_id, []).append(record.outcome)
        values = [
            [
                mean if objective == PEARSON else objective.of(found[config_id])
                for objective in self._objectives
            ]
            for config_id, mean in zip(table["config_id"], table["mean"], strict=True)
        ]
        points = [[math.nan if v is None else v for v in value] for value in values]
        for place, objective in enumerate(self._objectives):
            if objective != PEARSON and objective.name not in table:
                table[objective.name] = [value[place] for value in values]
        return table.assign(pareto=pareto_front(points, self._objectives))

    def verdict(self) -> Verdict | None:
        """Best, ties, recommendation, in numbers and words; None before the first score."""
        return self._board().verdict(baseline=self._baseline)

    def search_board(self) -> Ranking:
        """The ranking by the search's runs alone, also where others confirm the leaders."""
        kept = [
            (r.run, r.outcome)
            for r in self._scored()
            if r.outcome is not None
            and (self._search_seeds is None or r.run.recipe.seed in self._search_seeds)
        ]
        return Ranking.of(kept, self.folder, keys=self.keys, search_seeds=None)

    def best_run(self, config_id: str | None = None) -> Run | None:
        """The best run of a config; of the one on top of the leaderboard, if none is named."""
        board = self._board()
        if not board.contenders:
            return None
        wanted = config_id or board.contenders[0].config_id
        runs = [r for r in self._scored() if r.run.recipe.config_id == wanted]
        return max(runs, key=_score).run if runs else None

    def records(self) -> list[Record]:
        """All records in the order of the trials."""
        return self._sorted()

    def _board(self) -> Ranking:
        scored = [(r.run, r.outcome) for r in self._scored() if r.outcome is not None]
        return Ranking.of(
            scored,
            self.folder,
            keys=self.keys,
            search_seeds=self._search_seeds,
            confirming=self._confirming,
            ended=[r.run for r in self._sorted() if r.state in (RunState.FAILED, RunState.PRUNED)],
        )

    def _ranking(self, board: Ranking) -> pd.DataFrame:
        head = ["rank", "config_id", "trial", "n_seeds", "mean", "std", "ci_low", "ci_high"]
        columns = [*head, "tied_with_best", *self.keys, "lora_params", "train_seconds"]
        columns += ["confirmed", "search_mean"]
        table = pd.DataFrame(board.rows(self.keys), columns=columns)
        table = table.astype({"lora_params": "Int64", "tied_with_best": "boolean"})
        return self._with_front(table) if len(self._objectives) > 1 else table

    def _scored(self) -> list[Record]:
        return [r for r in self._sorted() if r.state is RunState.COMPLETE and r.outcome]

    def _sorted(self) -> list[Record]:
        return sorted(self._records.values(), key=lambda r: (r.run.trial, r.run.recipe.seed))

    def _change(self, run_id: str, **changes: Any) -> None:
        self._records[run_id] = dataclasses.replace(self._records[run_id], **changes)

    def _write_tables_now_and_then(self) -> None:
        """Keep the files live at no more than a twentieth of the time, however long they get."""
        start = time.monotonic()
        if start < self._next_write:
            return
        self.write_tables()
        end = time.monotonic()
        self._next_write = end + max(1.0, 20 * (end - start))


def _read_confirming(path: Path) -> Confirming | None:
    """None before there is one; what can't be read is told by the runs themselves."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Confirming(tuple(content["config_ids"]), tuple(content["seeds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
        **searched(recipe, keys),
    }
    if outcome is None:
        rungs = record.evaluations
        live = {"pearson_last": rungs[-1].pearson, "steps": rungs[-1].step} if rungs else {}
        return {**row, **live, "worker": record.worker}
    measured = ("reason", *SCORE_COLUMNS, *COST_COLUMNS)
    return {**row, **{column: getattr(outcome, column) for column in measured}}


def _score(record: Record) -> float:
    assert record.outcome is not None
    assert record.outcome.pearson is not None
    return record.outcome.pearson
