"""Two texts as token ids, in one sequence or apart, and what a model gets to see of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from sweep.core.errors import DataError
from sweep.data.unknown import Unknown, unknown_words

#: Length that is named as fitting fits so many of the pairs.
_MOST = 0.99


@dataclass(frozen=True)
class Reading:
    """How a model reads a pair: as one sequence, or `apart`, each sentence behind a `prefix`."""

    apart: bool = False
    prefix: str = ""


#: Both sentences in one sequence.
TOGETHER = Reading()


@dataclass(frozen=True)
class Seen:
    """What is left of pairs after tokenising.

    `cut` of the `rows` have more tokens than allowed, `fitting` tokens would hold 99 % of them.
    A row is a `unit`, a pair or a sentence.
    """

    rows: int
    cut: int
    fitting: int
    unknown: Unknown
    unit: str = "pair"

    @property
    def cut_share(self) -> float:
        return self.cut / self.rows if self.rows else 0.0

    def and_more(self, other: Seen) -> Seen:
        """Of two parts of one file. What fits 99 % of either part fits as many of both."""
        if not self.rows:
            return other
        return Seen(
            self.rows + other.rows,
            self.cut + other.cut,
            max(self.fitting, other.fitting),
            self.unknown.and_more(other.unknown),
            self.unit,
        )

    def to_text(self) -> str:
        """For a table of tokens, which carries it along."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Seen:
        """Of what `to_text` gave."""
        content = json.loads(text)
        unknown = content.pop("unknown")
        examples = tuple(unknown.pop("examples"))
        return cls(**content, unknown=Unknown(**unknown, examples=examples))


def encoded(
    text_a: Sequence[str],
    text_b: Sequence[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    reading: Reading = TOGETHER,
) -> tuple[dict[str, list[Any]], Seen]:
    """The tokenizer's columns for pairs, cut to `max_length` tokens, and what they still hold.

    Read apart, a pair has two lists of ids in each column, and each sentence is cut. Without
    `text_b` each sentence of `text_a` is alone.
    """
    if text_b is None:
        columns, seen = _cut_to((list(text_a),), tokenizer, max_length)
        return columns, replace(seen, unit="sentence")
    if reading.apart:
        texts = [f"{reading.prefix}{text}" for text in (*text_a, *text_b)]
        columns, seen = _cut_to((texts,), tokenizer, max_length)
        half = len(text_a)
        both = {
            name: [list(pair) for pair in zip(column[:half], column[half:], strict=True)]
            for name, column in columns.items()
        }
        return both, replace(seen, unit="sentence")
    return _cut_to((list(text_a), list(text_b)), tokenizer, max_length)


def _refuse_without_room(
    tokenizer: PreTrainedTokenizerBase, max_length: int, *, pair: bool
) -> None:
    """What is put around sentences is never cut, and some tokens of each must be left."""
    around = tokenizer.num_special_tokens_to_add(pair=pair)
    if max_length < around + 2:
        raise DataError(
            "`data.max_length` must leave room for words beside the tokens around them.",
            value=f"data.max_length={max_length}; the tokenizer puts {around} tokens around "
            f"{'a pair' if pair else 'a sentence'}",
            way_out=f"`data.max_length={around + 32}`, or a shorter `data.template`",
        )


def _cut_to(
    sides: tuple[list[str], ...], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[dict[str, list[list[int]]], Seen]:
    """Sequences of one side or of two, at most so long."""
    # Only what is too long is tokenised twice.
    whole = tokenizer(*sides, verbose=False)
    columns = {name: list(whole[name]) for name in whole}
    lengths = np.array([len(ids) for ids in columns["input_ids"]], dtype=np.int64)
    long: list[int] = np.flatnonzero(lengths > max_length).tolist()
    if long:
        _refuse_without_room(tokenizer, max_length, pair=len(sides) == 2)
        parts = ([texts[i] for i in long] for texts in sides)
        short = tokenizer(*parts, truncation=True, max_length=max_length, verbose=False)
        for name, column in columns.items():
            for place, row in zip(long, short[name], strict=True):
                column[place] = row
    fitting = int(np.quantile(lengths, _MOST, method="inverted_cdf")) if len(lengths) else 0
    unknown = unknown_words(whole, sides, tokenizer)
    return columns, Seen(len(lengths), len(long), fitting, unknown)
