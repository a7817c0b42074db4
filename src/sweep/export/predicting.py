"""Scores of a file of pairs of any size: a window is scored while the next one is made ready."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sweep.core.arrays import Floats
from sweep.core.errors import DataError
from sweep.core.recipe import Recipe
from sweep.data.seen import said_of
from sweep.data.survey import Survey, surveyed
from sweep.data.suspects import num_one_text_twice, one_text_twice_told
from sweep.data.token_ids import Seen
from sweep.data.unknown import Unknown
from sweep.data.windows import Window
from sweep.execute.cores import physical_cores
from sweep.export.answers import Answers, table_of
from sweep.export.exported import on_base, read_recipe
from sweep.export.formats import Format
from sweep.export.scorers import Scorer, form_in, load_scorer

#: Windows that are made ready ahead: no core waits for the last batch of one.
_AHEAD = 2
_NOTHING_SEEN = Seen(0, 0, 0, Unknown())


@dataclass(frozen=True)
class Tally:
    """What is to be said of pairs that were scored, added up: those with one text twice, and what
    the model got to see."""

    pairs: int = 0
    twice: int = 0
    seen: Seen = _NOTHING_SEEN

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.pairs + other.pairs, self.twice + other.twice, self.seen.and_more(other.seen)
        )


@dataclass(frozen=True, eq=False)
class Answered:
    """A window with its predictions `[N]`, NaN where a row is no pair, its tally, and of classes
    the probabilities `[N, C]`."""

    window: Window
    predictions: Floats
    tally: Tally
    shares: Floats | None

    @property
    def answers(self) -> Answers:
        """Its texts and predictions."""
        faults = self.window.faults
        problems = [_told(faults[i]) if i in faults else None for i in range(len(self.window))]
        other = None if self.window.single else self.window.text_b
        return Answers(self.window.text_a, other, self.predictions, problems, self.shares)


def _told(fault: DataError) -> str:
    return f"{fault.rule.removesuffix('.')}: {fault.value}"


class Prediction:
    """A file of pairs, looked through, and the form of an exported folder that is to score it.

    Args:
        given: Keys of `data` that say how the file is read; the rest is found out. A label that is
            named must be of use; another one is left out if it is not.
        tell: Hears that labels or rows are left out, and why.
        base: Where the base model lies, if not where it was at the training.
        form: Of the folder's; None takes the adapter, or the one that the folder is.

    Raises:
        ExportError: the folder is not an exported one.
        DataError: the file can't be read, lacks a column that is named, or has no pair.
    """

    def __init__(
        self,
        folder: Path,
        pairs_file: Path,
        given: Mapping[str, Any],
        *,
        tell: Callable[[str], None],
        base: str | None = None,
        form: Format | None = None,
    ) -> None:
        self.folder, self.form = form_in(folder, form)
        self.recipe: Recipe = on_base(read_recipe(self.folder), self.folder, base)
        data = dataclasses.replace(self.recipe.data, source="files", **given)
        self.survey: Survey = surveyed(
            pairs_file, data, given, tell=tell, needs_labels="label" in given
        )

    @cached_property
    def scorer(self) -> Scorer:
        """Loaded on first use.

        Raises:
            ExportError, ModelError: the form is not whole, or its base is not to be had.
        """
        recipe = dataclasses.replace(self.recipe, data=self.survey.data)
        return load_scorer(self.folder, recipe, self.form, cores=len(physical_cores()))

    def answered(self, *, skip: int = 0) -> Iterator[Answered]:
        """Every window in its order, from this number on."""
        origin = str(self.survey.path)
        return answered(self.survey.windows(skip=skip), self.scorer, origin)

    def table(self, answers: Answers, start: int) -> pd.DataFrame:
        """Answers as people read them, with the labels that stand from row `start` on."""
        labels = self.survey.labels
        known = None if labels is None else labels[start : start + len(answers.text_a)]
        has_problems = self.survey.faulty > 0
        return table_of(answers, known, self.recipe.data.classes, with_problems=has_problems)

    def said_of(self, tally: Tally) -> list[str]:
        """What whoever scores pairs is to know of them."""
        kind = self.recipe.model.quantization
        is_quantized = kind != "none" and self.form == "adapter"
        on = f"scored on the {kind} base that the adapter was trained on"
        twice = one_text_twice_told(tally.twice, tally.pairs, "given")
        said = said_of(tally.seen, "given", max_length=self.scorer.data.max_length)
        return [*([on] if is_quantized else []), *([twice] if twice else []), *said]


def predict(
    folder: Path,
    pairs_file: Path,
    given: Mapping[str, Any],
    *,
    tell: Callable[[str], None],
    base: str | None = None,
    form: Format | None = None,
) -> pd.DataFrame:
    """Texts, labels where there are some of use, predictions, and where rows are no pairs the
    problem: all of a file at once. Arguments and errors are those of `Prediction`."""
    job = Prediction(folder, pairs_file, given, tell=tell, base=base, form=form)
    tables, tally, start = [], Tally(), 0
    for part in job.answered():
        tables.append(job.table(part.answers, start))
        tally, start = tally + part.tally, start + len(part.window)
    for sentence in job.said_of(tally):
        tell(sentence)
    return pd.concat(tables, ignore_index=True)


def answered(windows: Iterable[Window], scorer: Scorer, origin: str) -> Iterator[Answered]:
    """Windows with their predictions, in their order."""
    classes = scorer.data.classes
    width = 1 + len(classes) if classes else 0
    with _lanes(scorer) as pool:
        waiting: deque[tuple[Window, Tally, list[tuple[Any, Future[Floats]]]]] = deque()
        for window in windows:
            pairs = window.pairs(origin)
            tally, batches = Tally(), list[tuple[Any, Future[Floats]]]()
            if len(pairs):
                prepared = scorer.prepared(pairs)
                tally = Tally(len(pairs), num_one_text_twice(pairs), prepared.seen)
                batches = [(places, pool.submit(score)) for places, score in prepared.batches]
            waiting.append((window, tally, batches))
            if len(waiting) > _AHEAD:
                yield _collected(*waiting.popleft(), width)
        while waiting:
            yield _collected(*waiting.popleft(), width)


@contextmanager
def _lanes(scorer: Scorer) -> Iterator[ThreadPoolExecutor]:
    """Threads that share the cores: batches side by side on one core each take less time than one
    after the other on all."""
    before = torch.get_num_threads()
    torch.set_num_threads(scorer.threads)
    pool = ThreadPoolExecutor(
        scorer.lanes, initializer=torch.set_num_threads, initargs=(scorer.threads,)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _collected(
    window: Window, tally: Tally, batches: list[tuple[Any, Future[Floats]]], width: int
) -> Answered:
    """A window of which all is scored.

    Args:
        width: Numbers of a row, as a `Scorer` gives them of classes; 0 of scores.
    """
    found = np.full((len(window), width) if width else len(window), np.nan)
    good = np.array(window.good, dtype=np.int64)
    for places, scores in batches:
        found[good[places]] = scores.result()
    if width:
        return Answered(window, found[:, 0], tally, found[:, 1:])
    return Answered(window, found, tally, None)
