"""A run and what is known of it; `run.json`, where that is kept."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sweep.core.files import write_text
from sweep.core.recipe import Recipe
from sweep.loop.trial import Evaluation, Outcome, Run, RunState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """A run and what is known of it."""

    run: Run
    state: RunState = RunState.QUEUED
    outcome: Outcome | None = None
    evaluations: tuple[Evaluation, ...] = ()
    worker: str | None = None
    wandb_url: str | None = None


def write_record(folder: Path, record: Record, versions: Mapping[str, str]) -> None:
    """Write the `run.json` of a run, in the study's folder."""
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
    path = folder / "runs" / run.id / "run.json"
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False))


def read_record(path: Path) -> Record | None:
    """The record of an earlier start; a file that can't be read counts as not done."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        recipe = Recipe.from_dict(content["recipe"])
        fields = dict(content["outcome"])
        rungs = tuple(Evaluation(**rung) for rung in fields.pop("evaluations"))
        outcome = Outcome(**{**fields, "state": RunState(fields["state"])}, evaluations=rungs)
        run = Run(content["trial"], content["params"], recipe)
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s can't be read (%s); the run will be trained again.", path, error)
        return None
    return Record(run, outcome.state, outcome, rungs, outcome.worker, content.get("wandb_url"))
