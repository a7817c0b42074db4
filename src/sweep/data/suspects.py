"""Pairs on which no score can say anything: most often a column or a file named by mistake."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.core.words import counted
from sweep.data.findings import Finding, Split
from sweep.data.likeness import unordered
from sweep.data.pairs import Pairs

#: Share of the rows from which what they have in common is no accident.
_NEARLY_ALL = 0.9
#: Share of the train pairs that differ from one another, from which others are no chance repeats.
_VARIED = 0.5
_ALL_THE_SAME = "`data.on_alike=warn` trains all the same"

Splits = Mapping[Split, Pairs]


@dataclass(frozen=True)
class _Suspect:
    """What must hold, what was found, and the way out."""

    split: Split
    rule: str
    sentence: str
    way_out: str
    count: int


def suspects(splits: Splits, data: Data) -> list[Finding]:
    """What makes a score on these pairs meaningless, and what makes it doubtful.

    Raises:
        DataError: it would be meaningless, and `data.on_alike` is `error`.
    """
    looks: tuple[Callable[[Splits, Data], Iterator[_Suspect]], ...] = (
        _text_is_label,
        _one_text_twice,
        _trained_on,
    )
    found = [suspect for look in looks for suspect in look(splits, data)]
    if found and data.on_alike == "error":
        first = found[0]
        raise DataError(
            first.rule, value=first.sentence, way_out=f"{first.way_out}; {_ALL_THE_SAME}"
        )
    refused = [Finding("alike", "warn", (s.split,), s.sentence, s.count) for s in found]
    return [*refused, *_doubtful(splits)]


def one_text_twice(pairs: Pairs, noun: str) -> str | None:
    """A sentence where nearly all pairs have one text twice."""
    return one_text_twice_told(num_one_text_twice(pairs), len(pairs), noun)


def num_one_text_twice(pairs: Pairs) -> int:
    """How many pairs have one text twice, in normalised text."""
    return sum(a == b for a, b in pairs.keys)


def one_text_twice_told(count: int, rows: int, noun: str) -> str | None:
    """A sentence where that is so of nearly all rows."""
    if not _is_nearly_all(count, rows):
        return None
    return f"{count:,} of {counted(rows, f'{noun} pair')} have one text twice"


def _one_text_twice(splits: Splits, data: Data) -> Iterator[_Suspect]:
    named = f": data.text_a and data.text_b both name `{data.text_a}`"
    for split, pairs in splits.items():
        if (sentence := one_text_twice(pairs, split)) is None:
            continue
        # As SemEval has it: a line for each text.
        in_lines = sum("\n" in text.strip() for text in pairs.text_a)
        split_text = _is_nearly_all(in_lines, len(pairs))
        yield _Suspect(
            split,
            "The two texts of a pair must differ: there is nothing to compare otherwise.",
            sentence + (named if data.text_a == data.text_b else ""),
            'where a cell holds both texts, set `data.split_text="\\n"`'
            if split_text
            else "name the column of the other text with `data.text_a=` or `data.text_b=`",
            sum(a == b for a, b in pairs.keys),
        )


def _text_is_label(splits: Splits, data: Data) -> Iterator[_Suspect]:
    """Of train and dev: the labels of others are not looked at."""
    for split in ("train", "dev"):
        pairs = splits[split]
        for key, named, texts in (
            ("data.text_a", data.text_a, pairs.text_a),
            ("data.text_b", data.text_b, pairs.text_b),
        ):
            if named is None:
                continue
            # The number of a class is the program's own.
            count = 0 if data.classes else _same_numbers(texts, pairs)
            by_name = f": {key} and data.label both name `{data.label}`"
            if named == data.label or _is_nearly_all(count, len(pairs)):
                found = f"{_share(count, pairs, split)} have their label as a text ({key})"
                yield _Suspect(
                    split,
                    "No text may be the label: the score would be read off.",
                    found + (by_name if named == data.label else ""),
                    f"name the column of the text with `{key}=`",
                    count,
                )


def _same_numbers(texts: Sequence[str], pairs: Pairs) -> int:
    if pairs.labels is None:
        return 0
    return sum(
        number == label
        for number, label in zip(map(_number, texts), pairs.labels, strict=True)
        if number is not None
    )


def _trained_on(splits: Splits, data: Data) -> Iterator[_Suspect]:
    """Splits that are train once more, in any order; dropping takes such pairs out of train.

    Where few sentences make up all pairs, as in toys and templates, other rows hold the same by
    chance: there a split has to be train as a whole.
    """
    if data.on_leak == "drop":
        return
    train = Counter(unordered(key) for key in splits["train"].keys)
    varied = len(train) >= _VARIED * train.total()
    for split, pairs in splits.items():
        own = Counter(unordered(key) for key in pairs.keys)
        count = sum(own[key] for key in own if key in train)
        again = own == train or (varied and _is_nearly_all(count, len(pairs)))
        if split == "train" or not again:
            continue
        one_file = getattr(data, split, None) == data.train and data.source == "files"
        named = f": data.train and data.{split} name one file" if one_file else ""
        yield _Suspect(
            split,
            f"{pairs.unit.capitalize()}s of {split} must not be those of train: to know them says "
            "nothing.",
            f"{_share(count, pairs, split)} are in train as well{named}",
            f"name other {pairs.unit}s with `data.{split}=`, or rows of the file with `data.where`",
            count,
        )


# -- what is only said -----------------------------------------------------------------------------


def _doubtful(splits: Splits) -> list[Finding]:
    found = []
    for split, pairs in splits.items():
        _, most = Counter(pairs.keys).most_common(1)[0]
        if _is_nearly_all(most, len(pairs)):
            found.append(_said(split, most, f"{_share(most, pairs, split)} are one and the same"))
            continue
        sides = [("first text", pairs.text_a), ("second text", pairs.text_b)]
        for name, texts in [("text", pairs.text_a)] if pairs.single else sides:
            found += _doubtful_side(split, pairs, name, texts)
    if "dev" in splits and "test" in splits:
        found += _dev_again(splits)
    return found


def _doubtful_side(split: Split, pairs: Pairs, name: str, texts: Sequence[str]) -> list[Finding]:
    text, most = Counter(texts).most_common(1)[0]
    if _is_nearly_all(most, len(texts)):
        what = f"have the same {name} (`{text[:40]}`)"
        return [_said(split, most, f"{_share(most, pairs, split)} {what}")]
    numbers = sum(_number(text) is not None for text in texts)
    if _is_nearly_all(numbers, len(texts)):
        what = f"have a number for their {name}: a column of ids or scores?"
        return [_said(split, numbers, f"{_share(numbers, pairs, split)} {what}")]
    return []


def _dev_again(splits: Splits) -> list[Finding]:
    dev, test = ({unordered(key) for key in splits[split].keys} for split in ("dev", "test"))
    if not _is_nearly_all(len(dev & test), len(test)):
        return []
    share = _share(len(dev & test), splits["test"], "test", len(test))
    return [_said("test", len(dev & test), f"{share} are those of dev: their score says no more")]


def _said(split: Split, count: int, sentence: str) -> Finding:
    return Finding("alike", "warn", (split,), sentence, count)


def _is_nearly_all(count: int, rows: int) -> bool:
    return count > 1 and count >= _NEARLY_ALL * rows


def _share(count: int, pairs: Pairs, split: Split, rows: int | None = None) -> str:
    """`7 of 90 dev pairs`; of all of them, or of so many that differ."""
    whole = len(pairs) if rows is None else rows
    return f"{count:,} of {counted(whole, f'{split} {pairs.unit}')}"


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return float(text)
    return None
