"""A run and what is known of it; `run.json`, where that is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sweep.core.files import write_text
from sweep.core.recipe import Recipe
from sweep.loop.pruning import Ended, whole_steps
from sweep.loop.trial import Evaluation, Outcome, Run, RunState
from sweep.study.files import RunFiles
from sweep.study.reading import read_json


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
        "outcome": dataclasses.asdict(outcome) if outcome else None,
        "wandb_url": record.wandb_url,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }
    write_text(files.record, json.dumps(content, indent=2, ensure_ascii=False))


def read_record(files: RunFiles) -> Record | None:
    """The record of a run that has ended; a file that can't be read counts as not done."""
    kept = read_json(files.record, _Kept, otherwise="the run will be trained again")
    if kept is None:
        return None
    run, outcome = Run(kept.trial, kept.params, kept.recipe), kept.outcome
    known = outcome.evaluations, outcome.worker, kept.wandb_url, kept.versions
    return Record(run, outcome.state, outcome, *known)


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
