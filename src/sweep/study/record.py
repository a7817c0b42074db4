"""A run and what is known of it; `run.json`, where that is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sweep.core.files import write_text
from sweep.core.metric import Metric
from sweep.core.recipe import Recipe
from sweep.loop.pruning import Ended, whole_steps
from sweep.loop.trial import Evaluation, Outcome, Run, RunState
from sweep.study.files import RunFiles
from sweep.study.reading import read_json

#: A complete run with its score.
ScoredRun = tuple[Run, Outcome]


@dataclass(frozen=True)
class Record:
    """A run and what is known of it."""

    run: Run
    state: RunState = RunState.QUEUED
    outcome: Outcome | None = None
    evaluations: tuple[Evaluation, ...] = ()
    worker: str | None = None
    wandb_url: str | None = None
    #: Of the libraries that trained it.
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Kept:
    """What `run.json` holds, beside what is in it for people."""

    trial: int
    params: dict[str, Any]
    recipe: Recipe
    outcome: Outcome
    wandb_url: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


def write_record(files: RunFiles, record: Record, versions: Mapping[str, str]) -> None:
    run, outcome = record.run, record.outcome
    content = {
        "run_id": run.id,
        "name": run.name,
        "trial": run.trial,
        "params": run.params,
        "recipe": dataclasses.asdict(run.recipe),
        "outcome": _in_files(outcome, run.recipe.task.measure) if outcome else None,
        "wandb_url": record.wandb_url,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }
    write_text(files.record, json.dumps(content, indent=2, ensure_ascii=False))


def read_record(files: RunFiles) -> Record | None:
    """The record of a run that has ended; a file that can't be read counts as not done."""
    otherwise = "the run will be trained again"
    kept = read_json(files.record, _Kept, otherwise=otherwise, renamed=_from_files)
    if kept is None:
        return None
    run, outcome = Run(kept.trial, kept.params, kept.recipe), kept.outcome
    known = outcome.evaluations, outcome.worker, kept.wandb_url, kept.versions
    return Record(run, outcome.state, outcome, *known)


def _in_files(outcome: Outcome, metric: Metric) -> dict[str, Any]:
    """Scores by the names that they have in this study."""
    content = metric.in_files(dataclasses.asdict(outcome))
    return {**content, **_each(content, metric.in_files)}


def _from_files(content: dict[str, Any]) -> dict[str, Any]:
    outcome = content["outcome"]
    if outcome is None:
        return content
    # Records were written before there were tasks.
    metric = Recipe.from_dict(content["recipe"]).task.measure
    outcome = metric.from_files(outcome)
    return {**content, "outcome": {**outcome, **_each(outcome, metric.from_files)}}


def _each(outcome: Mapping[str, Any], renamed: Callable[[Any], Any]) -> dict[str, Any]:
    """Its evaluations and glimpses, as far as it has any, under other names."""
    there = [name for name in ("evaluations", "glimpses") if name in outcome]
    return {name: [renamed(one) for one in outcome[name]] for name in there}


def scored_runs(records: Iterable[Record]) -> list[ScoredRun]:
    """The complete runs, each with what it left."""
    return [
        (r.run, r.outcome)
        for r in records
        if r.state is RunState.COMPLETE and r.outcome is not None
    ]


def ended(records: Iterable[Record]) -> list[Ended]:
    """The runs that have ended, as far as pruning is concerned."""
    return [
        Ended(
            record.run.recipe.config_id,
            outcome.steps or 0,
            outcome.state is RunState.PRUNED,
            outcome.audited_step is not None,
            whole_steps(
                max_steps=record.run.recipe.trainer.max_steps,
                epochs=record.run.recipe.trainer.num_train_epochs,
                rungs=[(e.step, e.epoch) for e in outcome.evaluations],
            ),
        )
        for record in records
        if (outcome := record.outcome) is not None
    ]
