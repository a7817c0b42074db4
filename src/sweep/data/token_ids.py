"""Two texts as token ids, in one sequence or apart, and what a model gets to see of them.

The tokenizer of an encoder puts a token between the sentences; that of most decoders puts nothing
there, so that the end of one sentence runs into the other. `separated` gives such a tokenizer a
separator, as part of itself: it is then saved with it, and cut around as its other tokens are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from tokenizers import processors
from transformers import PreTrainedTokenizerBase

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
    text_b: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    reading: Reading = TOGETHER,
) -> tuple[dict[str, list[Any]], Seen]:
    """The tokenizer's columns for pairs, cut to `max_length` tokens, and what they still hold.

    Read apart, a pair has two lists of ids in each column, and each sentence is cut.
    """
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
        parts = ([texts[i] for i in long] for texts in sides)
        short = tokenizer(*parts, truncation=True, max_length=max_length, verbose=False)
        for name, column in columns.items():
            for place, row in zip(long, short[name], strict=True):
                column[place] = row
    fitting = int(np.quantile(lengths, _MOST, method="inverted_cdf")) if len(lengths) else 0
    unknown = unknown_words(whole, sides, tokenizer)
    return columns, Seen(len(lengths), len(long), fitting, unknown)


# -- a separator -----------------------------------------------------------------------------------


def separated(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Give a tokenizer that puts nothing between two sentences a separator, in place.

    It is the first of these that the tokenizer has a token for: its own separator, a line break,
    its end of text.

    Returns:
        The separator, None where the tokenizer has one of its own.
    """
    if not is_joined(tokenizer):
        return None
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    found = next(_separators(tokenizer), None)
    if backend is None or found is None:
        return None
    text, ids = found
    backend.post_processor = _with_separator(tokenizer, ids)
    for name in ("add_bos_token", "add_eos_token"):
        # Where they are named, whoever loads the saved tokenizer would make its template anew.
        tokenizer.init_kwargs.pop(name, None)
    return text


def _with_separator(tokenizer: Any, separator: list[int]) -> Any:
    """What the tokenizer puts around its sentences as before, with a separator between two."""
    words = _two_words(tokenizer)
    parts: dict[str, dict[str, Any]] = {}

    def named(ids: list[int]) -> str:
        tokens = tokenizer.convert_ids_to_tokens(ids)
        name = f"<{' '.join(map(str, ids))}>"
        parts[name] = {"id": name, "ids": ids, "tokens": tokens}
        return name

    def template(encoding: Any, *inner: str) -> list[str]:
        front, back = _around(encoding)
        return [*([named(front)] if front else []), *inner, *([named(back)] if back else [])]

    single = template(tokenizer(words[0]).encodings[0], "$A:0")
    pair = template(tokenizer(*words).encodings[0], "$A:0", named(separator), "$B:1")
    made = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=list(parts.values())
    )
    before = tokenizer.backend_tokenizer.post_processor
    # It puts nothing anywhere: it sees to the places of letters.
    by_byte = isinstance(before, processors.ByteLevel)
    return processors.Sequence([before, made]) if by_byte else made


def _around(encoding: Any) -> tuple[list[int], list[int]]:
    """The tokens before and behind the sentences."""
    inside = [place for place, side in enumerate(encoding.sequence_ids) if side is not None]
    return encoding.ids[: inside[0]], encoding.ids[inside[-1] + 1 :]


def is_joined(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether nothing stands between the sentences of a pair."""
    words = _two_words(tokenizer)
    alone = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    joined, pair = [*alone[0], *alone[1]], tokenizer(*words)["input_ids"]
    places = range(len(pair) - len(joined) + 1)
    return any(pair[place : place + len(joined)] == joined for place in places)


def makes_nothing(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether no word leaves a token: the rules of its class are those of another vocabulary."""
    return not tokenizer(_two_words(tokenizer)[0], add_special_tokens=False)["input_ids"]


def is_bare(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether nothing stands before the sentences of a pair, nor behind them."""
    words = _two_words(tokenizer)
    first, last = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in words)
    pair = tokenizer(*words)["input_ids"]
    return bool(pair[: len(first)] == first and pair[-len(last) :] == last)


def _two_words(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """Two words that leave a token each."""
    special = set(tokenizer.all_special_tokens)
    known = (word for word in ("a", "b", *tokenizer.get_vocab()) if word not in special)
    leaving = (word for word in known if tokenizer(word, add_special_tokens=False)["input_ids"])
    first = next(leaving, "a")
    return first, next(leaving, first)


def _separators(tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[str, list[int]]]:
    """Texts that could separate, with their ids, the best first."""
    for text in (tokenizer.sep_token, "\n", tokenizer.eos_token):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        if ids and (tokenizer.unk_token_id not in ids or text == tokenizer.unk_token):
            yield text, ids
