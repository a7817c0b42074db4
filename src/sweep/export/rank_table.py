"""How much of its rank every kept adapter uses, by layer and module: one row each."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from sweep.loop.trial import Run
from sweep.lora.rank_use import rank_use
from sweep.study.files import StudyFiles
from sweep.study.rank_use import ModuleUse, read_rank_use, use_by_rank, write_rank_use

logger = logging.getLogger(__name__)


def update_rank_use(folder: Path, runs: Sequence[Run]) -> tuple[ModuleUse, ...]:
    """Write and return a row for each adapted module of each run that kept its adapter.

    What an earlier start has written is not computed again.
    """
    files = StudyFiles(folder)
    wanted = {run.id for run in runs}
    earlier = [row for row in read_rank_use(files) if row.run_id in wanted]
    known = {row.run_id for row in earlier}
    there = [run for run in runs if run.id not in known and files.run(run.id).has_adapter]
    new = [row for run in there for row in _rows(files, run)]
    rows = (*earlier, *new)
    write_rank_use(files, rows)
    return rows


def rank_line(rows: Sequence[ModuleUse]) -> list[str]:
    """How much was used on average, by rank."""
    parts = [f"r={use.rank} used {use.mean:.1f}" for use in use_by_rank(rows)]
    file = StudyFiles(Path()).rank_use
    return [f"ranks    {', '.join(parts)} on average ({file})"] if parts else []


def _rows(files: StudyFiles, run: Run) -> list[ModuleUse]:
    try:
        layers = rank_use(files.run(run.id).adapter, run.recipe.lora)
    except (OSError, ValueError) as error:
        logger.warning("The ranks of %s can't be read: %s", run.id, error)
        return []
    return [
        ModuleUse(run.recipe.config_id, run.id, **dataclasses.asdict(layer)) for layer in layers
    ]
