"""`predict`: a file of pairs of any size in, the same rows with their scores out."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from sweep.core.arrays import Floats
from sweep.core.words import counted
from sweep.export.answer_files import Write, answer_file, text_writer
from sweep.export.answer_parts import AnswerParts, job_of
from sweep.export.answers import Answers, scores_in_words
from sweep.export.formats import Format
from sweep.export.predicting import Prediction, Tally
from sweep.watch.row_progress import RowProgress
from sweep.watch.terminal import busy

#: Decimals of a score that are written.
_DECIMALS = 4


@dataclass(frozen=True)
class Wanted:
    """What is to be scored with what, and where the answers go: `out`, or else standard output.

    `reading` are keys of `data` that say how the file is read.
    """

    folder: Path
    pairs: Path
    reading: Mapping[str, Any]
    out: Path | None
    base: str | None
    form: Format | None
    restart: bool


def score_file(
    wanted: Wanted,
    console: Console,
    *,
    tell: Callable[[str], None],
    print_text: Callable[[str], None],
) -> None:
    """Score every pair of a file.

    Args:
        console: Where progress is shown.
        tell: Shows the user a line, aside from the answers.
        print_text: Prints a part of the answers.

    Raises:
        ExportError: the folder is not an exported one, or its base is not to be had.
        DataError: the file can't be read, or an unfinished job was another one.
    """
    if wanted.out is not None:
        # A place that can't be written to is refused now, not after the scoring.
        wanted.out.parent.mkdir(parents=True, exist_ok=True)
    with busy(console, f"Looking through {wanted.pairs} ..."):
        job = Prediction(
            wanted.folder,
            wanted.pairs,
            wanted.reading,
            tell=tell,
            base=wanted.base,
            form=wanted.form,
        )
    if wanted.out is None:
        summary = _to_standard_output(job, print_text)
    else:
        summary = _to_file(job, wanted, wanted.out, console, tell)
    for sentence in summary.sentences(job):
        tell(sentence)


class _Summary:
    """What all windows come to."""

    def __init__(self, job: Prediction) -> None:
        self.tally = Tally()
        self.rows = 0
        # A score that nobody compares need not be kept.
        self._found: list[Floats] = []
        self._labels = job.survey.labels

    def add(self, answers: Answers, tally: Tally) -> None:
        """The next window."""
        self.tally += tally
        self.rows += len(answers.text_a)
        if self._labels is not None:
            self._found.append(answers.predictions)

    def sentences(self, job: Prediction) -> list[str]:
        """What the user is to know in the end."""
        bad = job.survey.faulty
        without = (
            f"{counted(bad, 'row')} of {self.rows:,} without a score: column `problem` says why"
        )
        said = [*job.said_of(self.tally), *([without] if bad else [])]
        if self._labels is None:
            return said
        found, labels = np.concatenate(self._found), self._labels
        known = np.isfinite(labels)
        score = scores_in_words(job.recipe, labels[known], found[known])
        return [*said, *([score] if score else [])]


def _to_standard_output(job: Prediction, print_text: Callable[[str], None]) -> _Summary:
    summary, buffer = _Summary(job), io.StringIO()
    write = text_writer(buffer)
    for part in job.answered():
        _add(job, part.answers, part.tally, summary, write)
        print_text(buffer.getvalue())
        buffer.seek(0)
        buffer.truncate()
    return summary


def _to_file(
    job: Prediction, wanted: Wanted, out: Path, console: Console, tell: Callable[[str], None]
) -> _Summary:
    """Window by window into parts; at the end, all of them into one file."""
    parts = AnswerParts(out)
    done = parts.begin(job_of(job, wanted.reading, wanted.base), restart=wanted.restart)
    rows = sum(len(answers.text_a) for answers, _ in parts.read())
    if done:
        tell(f"goes on after {rows:,} of {counted(job.survey.rows, 'row')} ({parts.folder})")
    with RowProgress(console, job.survey.rows, rows, tell) as progress:
        for part in job.answered(skip=done):
            parts.write(part)
            progress.add(len(part.window))
    summary = _Summary(job)
    with answer_file(out) as write:
        for answers, tally in parts.read():
            _add(job, answers, tally, summary, write)
    parts.remove()
    tell(f"{summary.tally.pairs:,} pairs scored: {out}")
    return summary


def _add(job: Prediction, answers: Answers, tally: Tally, summary: _Summary, write: Write) -> None:
    write(job.table(answers, summary.rows).round(_DECIMALS))
    summary.add(answers, tally)
