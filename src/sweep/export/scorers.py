"""Any form of an exported folder as one kind of scorer: batches of like length, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from sweep.core.arrays import Floats
from sweep.core.errors import ExportError
from sweep.core.recipe import Data, Recipe
from sweep.data.pairs import Pairs
from sweep.data.token_ids import Reading, Seen, encoded
from sweep.export.exported import (
    exported_pooling,
    load_adapted,
    load_exported_tokenizer,
    shares_of,
)
from sweep.export.formats import (
    FORMATS,
    Format,
    formats_in,
    refuse_other_tasks,
    score_by,
    score_of,
    why_not,
)
from sweep.export.merged import load_merged
from sweep.lora.fit import most_positions
from sweep.lora.heads import reading_for
from sweep.lora.sentence_vectors import SentencePooling
from sweep.study.files import ExportedFiles

_BATCH = 64
_Places = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Prepared:
    """Pairs that are ready to be scored, and what a model gets to see of them.

    A batch is the places of its pairs, and a function that gives their scores.
    """

    batches: tuple[tuple[_Places, Callable[[], Floats]], ...]
    seen: Seen


@dataclass(frozen=True)
class Scorer:
    """Scores pairs with one form of an exported folder.

    `score` takes the rows of a batch: token ids by column, or pairs of texts. It gives `[B]`, or
    with C classes `[B, 1 + C]`: the likeliest, and the probability of each. `lanes` of its calls
    may run side by side, in threads, and each of them takes so many `threads` of its own.
    """

    score: Callable[[Sequence[Any]], Floats]
    tokenizer: PreTrainedTokenizerBase
    data: Data
    reading: Reading
    takes_ids: bool
    lanes: int
    threads: int = 1

    def prepared(self, pairs: Pairs) -> Prepared:
        """Tokenised, and sorted into batches: of shuffled pairs, half can be padding."""
        other = None if pairs.single else pairs.text_b
        ids, seen = encoded(
            pairs.text_a,
            other,
            self.tokenizer,
            max_length=self.data.max_length,
            reading=self.reading,
        )
        lengths = [_length(row) for row in ids["input_ids"]]
        order = np.argsort(lengths, kind="stable")
        parts = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
        return Prepared(tuple((part, self._batch(part, ids, pairs)) for part in parts), seen)

    def _batch(
        self, places: _Places, ids: dict[str, list[Any]], pairs: Pairs
    ) -> Callable[[], Floats]:
        if self.takes_ids:
            return partial(self.score, [{name: ids[name][i] for name in ids} for i in places])
        return partial(self.score, [(pairs.text_a[i], pairs.text_b[i]) for i in places])


def form_in(folder: Path, form: Format | None) -> tuple[Path, Format]:
    """The exported folder and the form in it that is meant: `best`, or `best/onnx`.

    Raises:
        ExportError: the folder does not hold that form, or it can't be used here.
    """
    folder = folder.absolute()
    is_inside = folder.name in FORMATS and not ExportedFiles(folder).settings.is_file()
    if is_inside and ExportedFiles(folder.parent).settings.is_file():
        named = next(name for name in FORMATS if name == folder.name)
        folder, form = folder.parent, form or named
    form = form or "adapter"
    there = formats_in(folder)
    if there and form not in there:
        raise ExportError(
            "A folder must hold the form that is to score.",
            value=f"{folder} holds {', '.join(there)}, not {form}",
            way_out=f"`python -m sweep export STUDY --{'merge' if form == 'merged' else form}`",
        )
    if trouble := why_not(form):
        raise ExportError(
            f"The form `{form}` needs onnxruntime.",
            value=trouble,
            way_out='pip install "sweep[onnx]", or take another form',
        )
    return folder, form


def load_scorer(folder: Path, recipe: Recipe, form: Format, *, cores: int) -> Scorer:
    """Load a form of an exported folder onto all cores.

    Args:
        recipe: Of the folder, on the base that it is to be used with.

    Raises:
        ExportError, ModelError: it is not whole, or its base is not to be had.
    """
    tokenizer, pooling = load_exported_tokenizer(folder), exported_pooling(folder, recipe)
    reading = reading_for(pooling)
    if form in ("onnx", "int8"):
        refuse_other_tasks(recipe, "`onnx/` and `int8/`")
        score = score_of(form, folder, recipe, threads=1)
        return Scorer(score, tokenizer, recipe.data, reading, False, lanes=cores)
    model: Any = (
        load_merged(ExportedFiles(folder).merged, recipe.task.encoder)
        if form == "merged"
        else load_adapted(folder, recipe, tokenizer)
    )
    # Kernels of other libraries may keep state.
    lanes = cores if form == "merged" or recipe.model.quantization == "none" else 1
    data = _cut_to(model, recipe.data)
    score = _score(model.eval(), tokenizer, data, pooling)
    threads = max(1, cores // lanes)
    return Scorer(score, tokenizer, data, reading, pooling is None, lanes, threads)


def _score(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    pooling: SentencePooling | None,
) -> Callable[[Sequence[Any]], Floats]:
    if pooling is not None:
        return score_by(model, tokenizer, data, pooling)
    collate = DataCollatorWithPadding(tokenizer)

    def score(rows: Sequence[Any]) -> Floats:
        return shares_of(collate(list(rows)), model, data)

    return score


def _cut_to(model: Any, data: Data) -> Data:
    """Pairs may be longer than those that the model was trained on, and than it has positions."""
    most = most_positions(model.get_base_model() if hasattr(model, "get_base_model") else model)
    return (
        data
        if most is None or most >= data.max_length
        else dataclasses.replace(data, max_length=most)
    )


def _length(row: Sequence[Any]) -> int:
    """Tokens of a pair; those of both sentences where each is read alone."""
    return sum(map(len, row)) if row and isinstance(row[0], list) else len(row)
