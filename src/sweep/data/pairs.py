"""Sentence pairs, or single sentences: loaded and tokenised. What a column must hold is in
`columns.py`."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from sweep.core.arrays import Floats
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.classes import class_numbers
from sweep.data.columns import both_texts, texts
from sweep.data.findings import Split
from sweep.data.holdout import held_out
from sweep.data.labels import labels
from sweep.data.likeness import Key, pair_keys, unordered
from sweep.data.rows import NONE_LEFT_OUT, LeftOut, refuse_none, rows_that_count
from sweep.data.sources import table_of
from sweep.data.token_ids import TOGETHER, Reading, Seen, encoded

#: `holdout` is the part of the train rows that `data.holdout` sets aside.
Selection = NDArray[np.int64] | NDArray[np.bool_]


# eq=False: arrays have no truth value; `digest` compares.
@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows of one split, `N` of them; `labels` is None where nobody has scored them.

    Of `single` sentences every `text_b` is empty. Labels are scores, or numbers of classes.
    """

    text_a: tuple[str, ...]
    text_b: tuple[str, ...]
    labels: Floats | None
    origin: str
    left_out: LeftOut = NONE_LEFT_OUT
    single: bool = False

    def __len__(self) -> int:
        return len(self.text_a)

    @property
    def unit(self) -> str:
        """What a row is: `pair` or `sentence`."""
        return "sentence" if self.single else "pair"

    @functools.cached_property
    def keys(self) -> list[Key]:
        """Every pair in normalised text."""
        return pair_keys(self.text_a, self.text_b)

    def take(self, rows: Selection) -> Pairs:
        """Some of the rows, by number or by mask."""
        numbers = np.arange(len(self))[rows]
        return dataclasses.replace(
            self,
            text_a=tuple(self.text_a[i] for i in numbers),
            text_b=tuple(self.text_b[i] for i in numbers),
            labels=None if self.labels is None else self.labels[numbers],
        )

    def swapped(self) -> Pairs:
        """Every pair with its sentences exchanged."""
        return dataclasses.replace(self, text_a=self.text_b, text_b=self.text_a)

    def digest(self) -> str:
        """Hash of all texts and labels, to tell changed data from the same data."""
        hasher = hashlib.sha256()
        for row in zip(self.text_a, self.text_b, strict=True):
            hasher.update("\x1f".join(row).encode() + b"\x1e")
        if self.labels is not None:
            hasher.update(np.ascontiguousarray(self.labels).tobytes())
        return hasher.hexdigest()[:16]


def load_split(data: Data, split: Split) -> Pairs:
    """Load and check one split.

    Of the train rows, those that `data.holdout` sets aside are taken out first, then
    `data.max_train_rows` are drawn, and then `data.on_leak: drop` takes out what leaks.

    Raises:
        DataError: names file, column and row of what is wrong.
    """
    pairs = _whole(data, split)
    if split == "holdout" or (split == "train" and data.holdout is not None):
        pairs = _side(pairs, data, held=split == "holdout")
    limit = {"train": data.max_train_rows, "dev": data.max_dev_rows}.get(split)
    pairs = _sample(pairs, limit, seed=data.seed)
    if split == "train" and data.on_leak == "drop":
        pairs = pairs.take(~leaking(pairs, judged_by(data)))
        if len(pairs) == 0:
            raise DataError(f"Every train {pairs.unit} is also in dev or test.", value=pairs.origin)
    if split != "train" and len(pairs) < 2:
        raise DataError("A score needs at least 2 rows.", value=f"{len(pairs)} in {pairs.origin}")
    return pairs


def judged_by(data: Data) -> dict[Split, Pairs]:
    """The splits that scores come from: dev, test and what was held out, where there are any."""
    there: dict[Split, object] = {"dev": True, "test": data.test, "holdout": data.holdout}
    return {split: load_split(data, split) for split, named in there.items() if named}


def leaking(train: Pairs, others: Mapping[Split, Pairs]) -> NDArray[np.bool_]:
    """Train rows `[N]` whose pair, in either order and in normalised text, is in another split."""
    known = {unordered(key) for pairs in others.values() for key in pairs.keys}
    return np.array([unordered(key) in known for key in train.keys], dtype=bool)


def _whole(data: Data, split: Split) -> Pairs:
    """All rows of a split that count."""
    table, origin = table_of(data, "train" if split == "holdout" else split)
    table, left_out = rows_that_count(table, data, split, origin)
    return dataclasses.replace(pairs_of(table, data, origin=origin), left_out=left_out)


def _side(pairs: Pairs, data: Data, *, held: bool) -> Pairs:
    """The train rows that `data.holdout` sets aside, or the others."""
    if data.holdout is None:
        raise DataError("`data.holdout` must be set.", way_out="for example data.holdout=0.1")
    assert pairs.labels is not None
    aside = held_out(pairs.keys, pairs.labels, holdout=data.holdout, seed=data.holdout_seed)
    taken = pairs.take(aside if held else ~aside)
    if not held:
        return taken
    # What was left out of the file is counted with train.
    origin = f"held out of {pairs.origin}"
    return dataclasses.replace(taken, origin=origin, left_out=NONE_LEFT_OUT)


def pairs_of(table: pd.DataFrame, data: Data, *, origin: str) -> Pairs:
    """Take texts and labels out of a table and check them."""
    refuse_none(table, origin)
    if data.split_text:
        text_a, text_b = both_texts(table, data.text_a, origin, between=data.split_text)
    else:
        text_a = texts(table, data.text_a, origin)
        text_b = ("",) * len(text_a)
        if data.text_b is not None:
            text_b = texts(table, data.text_b, origin)
    numbers = labels_of(table, data, origin)
    return Pairs(text_a, text_b, numbers, origin, single=data.text_b is None)


def labels_of(table: pd.DataFrame, data: Data, origin: str) -> Floats:
    """The labels `[N]` of a table, checked: scores, or numbers of classes."""
    if data.classes is not None:
        return class_numbers(table, data.label, origin, classes=data.classes)
    return labels(table, data.label, origin, allowed=data.label_range, decimal=data.decimal)


def tokenized(
    pairs: Pairs, tokenizer: PreTrainedTokenizerBase, data: Data, reading: Reading = TOGETHER
) -> datasets.Dataset:
    """Token ids of both sentences, as `reading` has them, unpadded, with `labels` where known.

    Scores are scaled from `data.label_range` to [0, 1]: a new head starts near 0, and a short
    training would otherwise be spent on reaching the mean (docs/decisions.md). `seen_in` says what
    was cut and what is unknown.
    """
    other = None if pairs.single else pairs.text_b
    ids, seen = encoded(pairs.text_a, other, tokenizer, max_length=data.max_length, reading=reading)
    columns: dict[str, Any] = dict(ids)
    if pairs.labels is not None:
        low, high = (0.0, 1.0) if data.classes else data.label_range
        columns["labels"] = ((pairs.labels - low) / (high - low)).astype(np.float32)
    info = datasets.DatasetInfo(description=seen.to_text())
    return datasets.Dataset.from_dict(columns, info=info)


def seen_in(table: datasets.Dataset) -> Seen:
    """What `tokenized` left of the pairs of this table."""
    return Seen.from_text(table.info.description)


def in_label_units(outputs: Floats, data: Data) -> Floats:
    """Model outputs `[N]` as scores in `data.label_range`: the inverse of the scaling. Numbers of
    classes are what they are."""
    low, high = (0.0, 1.0) if data.classes else data.label_range
    return low + (high - low) * outputs


def _sample(pairs: Pairs, limit: int | None, *, seed: int) -> Pairs:
    if limit is None or limit >= len(pairs):
        return pairs
    # Files are often sorted by genre, so a part is drawn at random, never cut off the front.
    return pairs.take(np.random.default_rng(seed).permutation(len(pairs))[:limit])
