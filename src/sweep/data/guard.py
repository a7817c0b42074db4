"""The data guard: what in the pairs themselves would make a score say too much, found before."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.stats import ks_2samp

from sweep.core.arrays import Floats
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.core.words import counted, shortened
from sweep.data.classes import class_findings
from sweep.data.findings import Finding, Guard, Split
from sweep.data.label_use import label_use
from sweep.data.likeness import near_pairs, unordered
from sweep.data.pairs import Pairs, judged_by, leaking, load_split
from sweep.data.suspects import suspects

#: Jaccard similarity of letter n-grams from which two pairs count as nearly the same. Without white
#: space, which is alike in most pairs, it finds what 0.8 found with it (docs/decisions.md).
NEAR = 0.75
#: KS distance from which train and dev are said to be scored differently.
_SHIFTED = 0.1
_NUM_EXAMPLES = 5
#: Splits that no row may share with another one: a score would flatter.
_JUDGES: tuple[Split, ...] = ("dev", "test", "holdout")

Kind = Literal["exact", "normalised", "swapped", "near"]
_WORDS: dict[Kind, str] = {
    "exact": "the same texts",
    "normalised": "the same but for case, spaces, punctuation or Unicode form",
    "swapped": "the same with the sentences exchanged",
    "near": f"nearly the same (at least {NEAR:.0%} of the letter triples)",
}


def guard(data: Data) -> Guard:
    """Look at every split of a data set, before anything is trained.

    Labels of `test` and of the held-out rows are not looked at.

    Raises:
        DataError: train pairs leak, and `data.on_leak` is `error`; or a score on these pairs would
            say nothing, and `data.on_alike` is `error`.
    """
    judges = judged_by(data)
    train = load_split(dataclasses.replace(data, on_leak="warn"), "train")
    leaks = int(leaking(train, judges).sum())
    splits: dict[Split, Pairs] = {"train": train, **judges}
    dropped = leaks if data.on_leak == "drop" else 0
    findings = _duplicates(splits, dropped=bool(dropped), of_classes=data.classes is not None)
    if leaks and data.on_leak == "error":
        raise _refusal(findings, leaks, train.unit)
    findings += [*suspects(splits, data), *_one_sentence(splits)]
    findings += _labels(train, judges["dev"], data)
    findings += [found for s, pairs in splits.items() for found in pairs.left_out.found_in(s)]
    return Guard(data.on_leak, leaks, dropped, tuple(findings), train.unit)


def _refusal(findings: Sequence[Finding], leaks: int, unit: str) -> DataError:
    across = [f for f in findings if f.crosses_train and f.kind != "near"]
    return DataError(
        f"No train {unit} may be in dev or test as well (`data.on_leak=error`).",
        value=f"{counted(leaks, f'train {unit}')}, e.g. {' and '.join(across[0].examples[0])}",
        way_out="`data.on_leak=drop` takes them out of train, `warn` only says so",
    )


# -- duplicates ----------------------------------------------------------------------------------

#: A row: its split and its number there.
_Row = tuple[Split, int]


def _duplicates(splits: Mapping[Split, Pairs], *, dropped: bool, of_classes: bool) -> list[Finding]:
    """Couples of rows that are alike, by kind and by the splits that they lie in."""
    groups: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for split, pairs in splits.items():
        for row, key in enumerate(pairs.keys):
            groups[unordered(key)].append((split, row))
    found: dict[tuple[Kind, Split, Split], list[tuple[_Row, _Row]]] = defaultdict(list)
    for rows in groups.values():
        for kind, first, second in _same(rows, splits):
            found[kind, first[0], second[0]].append((first, second))
    for first, second in _near(groups):
        found["near", first[0], second[0]].append((first, second))
    return [
        _finding(kind, (one, other), couples, splits, dropped=dropped, of_classes=of_classes)
        for (kind, one, other), couples in found.items()
    ]


def _same(rows: Sequence[_Row], splits: Mapping[Split, Pairs]) -> list[tuple[Kind, _Row, _Row]]:
    """Each row beside the first one of each split: not all couples, whose number explodes."""
    firsts: dict[Split, _Row] = {}
    found = []
    for row in rows:
        found += [(_kind(first, row, splits), first, row) for first in firsts.values()]
        firsts.setdefault(row[0], row)
    return found


def _kind(first: _Row, second: _Row, splits: Mapping[Split, Pairs]) -> Kind:
    one, other = ((splits[s].text_a[i], splits[s].text_b[i]) for s, i in (first, second))
    if one == other:
        return "exact"
    keys = [splits[s].keys[i] for s, i in (first, second)]
    return "normalised" if keys[0] == keys[1] else "swapped"


def _near(groups: Mapping[tuple[str, str], Sequence[_Row]]) -> list[tuple[_Row, _Row]]:
    """Couples of groups that are nearly the same, each shown by its first rows."""
    rows = [group[0] for group in groups.values()]
    alike = near_pairs(list(groups), least=NEAR)
    order = np.argsort(-alike.likeness, kind="stable")
    couples = [
        (rows[i], rows[j]) for i, j in zip(alike.first[order], alike.second[order], strict=True)
    ]
    ranks = {split: rank for rank, split in enumerate(("train", *_JUDGES))}
    return [(a, b) if ranks[a[0]] <= ranks[b[0]] else (b, a) for a, b in couples]


def _finding(
    kind: Kind,
    places: tuple[Split, Split],
    couples: Sequence[tuple[_Row, _Row]],
    splits: Mapping[Split, Pairs],
    *,
    dropped: bool,
    of_classes: bool,
) -> Finding:
    one, other = places
    count = len({second for _, second in couples})
    across = one != other
    taken = dropped and one == "train" and across and kind != "near"
    single = count == 1
    also = f"of {other} {'is' if single else 'are'} also in {one}"
    where = also if across else f"in {one} {'occurs' if single else 'occur'} again"
    sentence = f"{counted(count, splits[one].unit)} {where}: {_WORDS[kind]}"
    seen = {one, other} <= {"train", "dev"}
    sentence += _disagreement(couples, splits, of_classes=of_classes) if seen else ""
    sentence += "; taken out of train" if taken else ""
    return Finding(
        kind,
        "warn" if across and not taken else "info",
        places if across else (one,),
        sentence,
        count,
        tuple(_example(a, b, splits) for a, b in couples[:_NUM_EXAMPLES]),
    )


def _disagreement(
    couples: Sequence[tuple[_Row, _Row]], splits: Mapping[Split, Pairs], *, of_classes: bool
) -> str:
    """How far apart the same pair was scored; the labels of test are never looked at."""
    gaps = [abs(_label(a, splits) - _label(b, splits)) for a, b in couples]
    if of_classes:
        others = sum(gap > 0 for gap in gaps)
        return f", {others:,} of them with another class" if others else ""
    apart = max(gaps)
    return f", scored up to {apart:.2g} apart" if apart > 0 else ""


def _label(row: _Row, splits: Mapping[Split, Pairs]) -> float:
    labels = splits[row[0]].labels
    assert labels is not None
    return float(labels[row[1]])


def _example(first: _Row, second: _Row, splits: Mapping[Split, Pairs]) -> list[str]:
    """The beginnings of both rows, which are counted from 1 in the split as it is used."""
    return [f"{split} {row + 1}: {_shown(splits[split], row)}" for split, row in (first, second)]


def _shown(pairs: Pairs, row: int) -> str:
    texts = (pairs.text_a[row], *([] if pairs.single else [pairs.text_b[row]]))
    return " | ".join(shortened(text) for text in texts)


def _one_sentence(splits: Mapping[Split, Pairs]) -> list[Finding]:
    """Rows whose two sentences are the same: nothing is to be compared in them."""
    found = []
    for split, pairs in splits.items():
        rows = [row for row, (a, b) in enumerate(pairs.keys) if a == b]
        if rows:
            shown = tuple([_shown(pairs, i)] for i in rows[:_NUM_EXAMPLES])
            sentence = f"{counted(len(rows), 'pair')} of {split} with one sentence twice"
            found.append(Finding("one_sentence", "info", (split,), sentence, len(rows), shown))
    return found


# -- labels --------------------------------------------------------------------------------------


def _labels(train: Pairs, dev: Pairs, data: Data) -> list[Finding]:
    assert train.labels is not None
    assert dev.labels is not None
    if data.classes is not None:
        return class_findings({"train": train.labels, "dev": dev.labels}, data.classes)
    allowed = data.label_range
    ends = (_ends("train", train.labels), _ends("dev", dev.labels))
    used = label_use({"train": train.labels, "dev": dev.labels}, allowed)
    return [_shift(train.labels, dev.labels), *used, *ends]


def _shift(train: Floats, dev: Floats) -> Finding:
    """Kolmogorov-Smirnov distance: the largest difference of the two shares up to any score."""
    test = ks_2samp(train, dev, method="asymp")
    shifted = test.statistic >= _SHIFTED and test.pvalue < 0.01
    verdict = "are scored differently" if shifted else "are scored alike"
    sentence = (
        f"train and dev {verdict}: mean {train.mean():.2f} and {dev.mean():.2f}, "
        f"SD {train.std():.2f} and {dev.std():.2f}, KS distance {test.statistic:.2f}"
    )
    return Finding("labels", "warn" if shifted else "info", ("train", "dev"), sentence, len(dev))


def _ends(split: Split, labels: Floats) -> Finding:
    """Scores that tie at the ends of the scale carry no order among themselves."""
    low, high = labels.min(), labels.max()
    shares = [float((labels == end).mean()) for end in (low, high)]
    sentence = (
        f"{shares[0]:.1%} of the {split} scores are {low:g}, the lowest, "
        f"and {shares[1]:.1%} are {high:g}, the highest"
    )
    count = int(((labels == low) | (labels == high)).sum())
    return Finding("ends", "warn" if max(shares) > 0.5 else "info", (split,), sentence, count)
