"""Words that a tokenizer has no token for: what the model gets in their place says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import BatchEncoding, PreTrainedTokenizerBase

#: Unknown words that are shown.
_NUM_EXAMPLES = 5

#: The texts of each sequence: of pairs the first ones and the second ones.
Sides = tuple[Sequence[str], ...]


@dataclass(frozen=True)
class Unknown:
    """`count` of so many `words` are unknown; words are counted only where some may be."""

    words: int = 0
    count: int = 0
    examples: tuple[str, ...] = ()

    def and_more(self, other: Unknown) -> Unknown:
        """Of two parts of one file."""
        examples = tuple(dict.fromkeys((*self.examples, *other.examples)))[:_NUM_EXAMPLES]
        return Unknown(self.words + other.words, self.count + other.count, examples)

    @property
    def share(self) -> float:
        return self.count / self.words if self.words else 0.0


def unknown_words(
    whole: BatchEncoding, texts: Sides, tokenizer: PreTrainedTokenizerBase
) -> Unknown:
    """What is unknown in texts, given their encoding with nothing cut off.

    A word is unknown as soon as a part of it is. Tokenizers that spell what they do not know byte
    by byte know everything.
    """
    unk = tokenizer.unk_token_id
    if whole.encodings is None:
        return _in_tokens(whole["input_ids"], tokenizer)
    if unk is None:
        known = _knows_all_bytes(tokenizer)
        return (
            Unknown() if known else _summed(_left_out(one, texts, row) for row, one in _rows(whole))
        )
    # Words are found one by one, which takes a while.
    if not any(unk in row for row in whole["input_ids"]):
        return Unknown()
    return _summed(_replaced(one, texts, row, unk) for row, one in _rows(whole))


def _rows(whole: BatchEncoding) -> Iterable[tuple[int, Any]]:
    return enumerate(whole.encodings or ())


def _summed(found: Iterable[tuple[int, list[str]]]) -> Unknown:
    """Numbers of words, and those that are unknown, of all rows."""
    words, count = 0, 0
    examples: dict[str, None] = {}
    for in_row, unknown in found:
        words += in_row
        count += len(unknown)
        if len(examples) < _NUM_EXAMPLES:
            examples |= dict.fromkeys(unknown)
    return Unknown(words, count, tuple(examples)[:_NUM_EXAMPLES])


def _replaced(encoding: Any, texts: Sides, row: int, unk: int) -> tuple[int, list[str]]:
    """Words with a token for the unknown among theirs."""
    words: dict[tuple[int, int], bool] = {}
    parts = zip(encoding.ids, encoding.word_ids, encoding.sequence_ids, strict=True)
    for token, word, side in parts:
        # Tokens that the tokenizer adds are of no word.
        if word is not None:
            words[side, word] = words.get((side, word), False) or token == unk
    places = [place for place, is_unknown in words.items() if is_unknown]
    spans = [(side, encoding.word_to_chars(word, side)) for side, word in places]
    return len(words), [texts[side][row][start:end].strip() for side, (start, end) in spans]


def _left_out(encoding: Any, texts: Sides, row: int) -> tuple[int, list[str]]:
    """Without a token for the unknown, such a word leaves no token at all."""
    sides = zip(encoding.offsets, encoding.sequence_ids, strict=True)
    covered = {(side, place) for span, side in sides for place in range(*span)}
    words = [
        (side, word) for side, text in enumerate(texts) for word in re.finditer(r"\S+", text[row])
    ]
    unknown = [
        word.group()
        for side, word in words
        if not any((side, place) in covered for place in range(*word.span()))
    ]
    return len(words), unknown


def _in_tokens(ids: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase) -> Unknown:
    """A tokenizer in Python does not say which word a token is of: its tokens are counted."""
    unk = tokenizer.unk_token_id
    special = {*tokenizer.all_special_ids} - {unk}
    tokens = [token for row in ids for token in row if token not in special]
    return Unknown(len(tokens), sum(token == unk for token in tokens))


def _knows_all_bytes(tokenizer: Any) -> bool:
    backend = tokenizer.backend_tokenizer
    by_byte = any("ByteLevel" in str(part) for part in (backend.pre_tokenizer, backend.normalizer))
    return by_byte or bool(getattr(backend.model, "byte_fallback", False))
