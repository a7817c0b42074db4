"""Which sentence pairs are the same, or nearly: by normalised text, and by shared letters.

Near duplicates are found by an exact join of sets of character n-grams with prefix filtering
(Bayardo, Ma & Srikant, "Scaling up all pairs similarity search", 2007; Xiao et al., "Efficient
similarity joins for near duplicate detection", 2008), written as products of sparse matrices.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

#: A pair in normalised text; its sentences in alphabetical order where order should not count.
Key = tuple[str, str]
Ints = NDArray[np.int64]

#: Letters of an n-gram. Three syllables of Hangul are about a word.
_GRAM = 3
#: Rare n-grams of a row beyond those that an exact join needs: most candidates then fall at once.
_LONGER = 6
_ROUNDING = 1e-9
#: Rows of a block of the join: bounds its memory.
_BLOCK = 4_096
#: Signs that mean something where they stand, with the white space that may be around them:
#: between two numbers (white space alone, too), a minus before one, per cent, the sharp of `C#`.
_MEANING = re.compile(
    r"((?<=\d)[\W_]+(?=\d)|(?<!\w)[-\u2010-\u2013\u2212](?=[$£¥€₩]?\d)"
    r"|(?<=\d)\s*[%‰]|(?<=[^\W\d_])#)"
)
#: Accents that stand alone, as the apostrophe `´`: NFKC would make a blank and a mark of them, and
#: the mark would end on the letter before.
_BLANKS = {
    code: " "
    for code in (*range(0x80, 0x2000), 0x309B, 0x309C)
    if unicodedata.decomposition(chr(code)).startswith("<compat> 0020 ")
}
#: Hyphens, the en dash and the minus of mathematics are written for one another.
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"))
#: Symbols by Unicode, but people use them as punctuation; then blanks that count as letters there.
_AS_PUNCTUATION = "<>|~\u223c\u2212" + "\u115f\u1160"


def normalised(text: str) -> str:
    """Text without differences of Unicode form, case, white space and punctuation.

    NFKC joins decomposed Hangul (macOS) and narrows full-width letters. White space goes, as Korean
    is spaced in more than one way; that `a part` is `apart` then is a price without weight, since
    whole pairs are compared. What carries meaning stays: symbols (`C++`, emoji), and the signs of
    numbers, which never join (`-5`, `1.5` and `1 5` are not `5` and `15`). A text without anything
    but punctuation keeps it.
    """
    folded = _visible(unicodedata.normalize("NFKC", text.translate(_BLANKS)).casefold())
    parts = _MEANING.split(folded)
    parts[::2] = [plain.translate(_KEPT) for plain in parts[::2]]
    parts[1::2] = ["".join(sign.split()).translate(_DASHES) or " " for sign in parts[1::2]]
    return "".join(parts) or "".join(folded.split())


def _visible(text: str) -> str:
    """Without characters that only steer how others are shown: zero-width spaces and the like."""
    if text.isprintable():
        return text
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


class _Kept(dict[int, int | None]):
    """For `str.translate`: letters, digits, their marks and symbols stay. Fills up on demand."""

    def __missing__(self, code: int) -> int | None:
        sign = chr(code)
        category = unicodedata.category(sign)
        goes = category[0] in "PZ" or category in ("Cc", "Sk") or sign in _AS_PUNCTUATION
        # Variation selectors: an emoji in colour or in black.
        self[code] = None if goes or 0xFE00 <= code <= 0xFE0F else code
        return self[code]


_KEPT = _Kept()


def pair_keys(text_a: Sequence[str], text_b: Sequence[str]) -> list[Key]:
    """Each pair in normalised text, in its own order."""
    return [(normalised(a), normalised(b)) for a, b in zip(text_a, text_b, strict=True)]


def unordered(key: Key) -> Key:
    """The same for a pair and for the swapped pair."""
    a, b = key
    return (a, b) if a <= b else (b, a)


@dataclass(frozen=True)
class NearPairs:
    """Rows that are much alike: `first` and `second` `[M]`, `likeness` `[M]` in (0, 1]."""

    first: Ints
    second: Ints
    likeness: NDArray[np.float64]


def near_pairs(keys: Sequence[Key], *, least: float) -> NearPairs:
    """All rows whose n-grams have a Jaccard similarity of at least `least`, each couple once.

    The n-grams of both sentences are one bag, so the order of the sentences does not count.

    Args:
        keys: Distinct: equal ones would be found as well, at the square of their number.
    """
    grams = _gram_sets(keys)
    sizes = np.diff(grams.indptr).astype(np.int64)
    prefixes = _Prefixes.of(grams, sizes, least)
    found = [
        _compare(block, prefixes, grams, sizes, least)
        for block in np.split(np.arange(len(keys)), range(_BLOCK, len(keys), _BLOCK))
    ]
    first, second, likeness = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return NearPairs(first, second, likeness)


@dataclass(frozen=True)
class _Prefixes:
    """The rarest n-grams of each row: rows that are alike have some of them in common.

    `sets` is `[N, V]`; `sizes` `[N]` counts all n-grams of a row, `left_out` `[N]` those beyond its
    prefix; `last` `[N]` is the last column of the prefix.
    """

    sets: csr_array
    sizes: Ints
    left_out: Ints
    last: Ints

    @classmethod
    def of(cls, grams: csr_array, sizes: Ints, least: float) -> _Prefixes:
        must_share = np.ceil(least * sizes - _ROUNDING).astype(np.int64)
        counts = np.minimum(sizes, sizes - must_share + _LONGER)
        place = np.arange(grams.nnz) - np.repeat(grams.indptr[:-1], sizes)
        kept = place < np.repeat(counts, sizes)
        starts = np.r_[0, np.cumsum(counts)]
        columns = grams.indices[kept]
        sets = csr_array((grams.data[kept], columns, starts), shape=grams.shape)
        return cls(sets, sizes, sizes - counts, columns[starts[1:] - 1].astype(np.int64))

    def most_shared(self, first: Ints, second: Ints, in_prefix: Ints) -> Ints:
        """The most n-grams that two rows can share, given how many of their prefixes they do.

        What lies before the end of the prefix that ends first is in both prefixes.
        """
        ends_first = np.where(self.last[first] <= self.last[second], first, second)
        most: Ints = np.minimum(
            in_prefix + self.left_out[ends_first], np.minimum(self.sizes[first], self.sizes[second])
        )
        return most


def _compare(
    rows: Ints, prefixes: _Prefixes, grams: csr_array, sizes: Ints, least: float
) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Candidates that share enough rare n-grams with one of the rows, kept where alike enough."""
    candidates = (prefixes.sets[rows] @ prefixes.sets.T).tocoo()
    once = rows[candidates.row] < candidates.col
    first, second = rows[candidates.row[once]], candidates.col[once].astype(np.int64)
    both = sizes[first] + sizes[second]
    most = prefixes.most_shared(first, second, candidates.data[once])
    worth = most >= least / (1 + least) * both - _ROUNDING
    first, second, both = first[worth], second[worth], both[worth]
    shared = np.asarray(grams[first].multiply(grams[second]).sum(axis=1)).ravel()
    likeness = shared / (both - shared)
    alike = likeness >= least - _ROUNDING
    return first[alike], second[alike], likeness[alike]


def _gram_sets(keys: Sequence[Key]) -> csr_array:
    """Bags of n-grams as sets, `[N, V]` of 0 and 1.

    The second occurrence of an n-gram in a row counts as another one. Columns are numbered from
    the rarest n-gram to the most frequent one.
    """
    row_of, codes = _grams(keys)
    order = np.lexsort((codes, row_of))
    row_of, codes = row_of[order], codes[order]
    start = np.flatnonzero(np.r_[True, (np.diff(row_of) != 0) | (np.diff(codes) != 0)])
    occurrence = np.arange(len(codes)) - np.repeat(start, np.diff(np.r_[start, len(codes)]))
    _, column, frequency = np.unique(
        codes * np.uint64(1_000_003) + occurrence.astype(np.uint64),
        return_inverse=True,
        return_counts=True,
    )
    by_rarity = np.empty(len(frequency), dtype=np.int64)
    by_rarity[np.argsort(frequency, kind="stable")] = np.arange(len(frequency))
    shape = (len(keys), len(frequency))
    ones = np.ones(len(codes), dtype=np.int32)
    sets = csr_array((ones, (row_of, by_rarity[column])), shape=shape)
    sets.sort_indices()
    return sets


def _grams(keys: Sequence[Key]) -> tuple[Ints, NDArray[np.uint64]]:
    """Row and hash of every n-gram of every sentence; a sentence is framed by two spaces."""
    sentences = [f" {text} " for key in keys for text in key]
    letters = np.frombuffer("".join(sentences).encode("utf-32-le"), dtype=np.uint32)
    sizes = np.array([len(sentence) for sentence in sentences])
    sentence_of = np.repeat(np.arange(len(sentences)), sizes)
    codes = np.zeros(len(letters) - _GRAM + 1, dtype=np.uint64)
    for place in range(_GRAM):
        codes = codes * np.uint64(0x10FFFF) + letters[place : place + len(codes)]
    inside = sentence_of[: len(codes)] == sentence_of[_GRAM - 1 :]
    return sentence_of[: len(codes)][inside] // 2, codes[inside]
