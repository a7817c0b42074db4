"""Adapters that a study has let go, trained once more: a recipe decides all of a training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from sweep.core.errors import VerificationError
from sweep.data.pairs import load_split
from sweep.execute.fresh import in_fresh_process
from sweep.export.retrain import trained_again
from sweep.export.verification import score_tolerance
from sweep.loop.trial import Outcome, Run
from sweep.study.files import RunFiles, StudyFiles
from sweep.study.record import Record

#: Trains a run in a folder of its own below the one given.
Train = Callable[[Run, Path], Outcome]


def bring_back(
    records: Sequence[Record], study: StudyFiles, *, threads: int, train: Train | None = None
) -> list[str]:
    """Give these complete runs their adapters again, where they have none; returns their ids.

    Record and predictions stay what they were.

    Args:
        threads: For each training, one after the other, each in a fresh process.

    Raises:
        VerificationError: the training comes to another score; the run stays without an adapter.
    """
    missing = [record for record in records if not study.run(record.run.id).has_adapter]
    for record in missing:
        _bring_back(record, study, train or partial(_in_fresh_process, threads=threads))
    return [record.run.id for record in missing]


def _bring_back(record: Record, study: StudyFiles, train: Train) -> None:
    run = replace(record.run, until=None)
    # On the disk of the study: a move is all that is left to do.
    with tempfile.TemporaryDirectory(prefix=".again-", dir=study.folder) as scratch:
        again = train(run, Path(scratch))
        _refuse_another(record, again)
        trained = RunFiles(Path(scratch) / run.id)
        home = study.run(run.id).adapter
        home.mkdir(parents=True, exist_ok=True)
        # Weights last: with them it counts as an adapter.
        for path in reversed(trained.adapter_files):
            path.replace(home / path.name)


def _refuse_another(record: Record, again: Outcome) -> None:
    recipe, measured = record.run.recipe, record.outcome.score if record.outcome else None
    labels = load_split(recipe.data, "dev").labels
    assert measured is not None
    assert labels is not None
    tolerance = score_tolerance(recipe, measured, labels)
    if again.score is None or abs(again.score - measured) > tolerance:
        found = f"{again.score:.6f}" if again.score is not None else f"{again.reason}"
        raise VerificationError(
            f"Trained again, {record.run.id} comes to {found}; the sweep measured {measured:.6f}. "
            f"They must agree within {tolerance:g}; another machine or other versions may differ"
        )


def _in_fresh_process(run: Run, folder: Path, *, threads: int) -> Outcome:
    try:
        return in_fresh_process(train_on, run, folder, threads)
    except ChildProcessError as death:
        raise VerificationError(f"The process that trains {run.id} again died: {death}") from None


def train_on(run: Run, folder: Path, threads: int) -> Outcome:
    """Train the run alone, on so many threads."""
    torch.set_num_threads(threads)
    return trained_again(run, folder, lambda _: None)
