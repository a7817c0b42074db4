"""The demo of classification: what follows from an English sentence, what it denies, what it leaves
open.

A premise states an event of `sts_demo`. The hypothesis says less of it (entailment), something that
can't be true beside it (contradiction), or something that the premise does not mention (neutral);
both are put into words independently. A contradiction is a negation, an opposite verb or another
number, so that no single word gives it away, and events are negated in all classes.

Two more columns are answers on the first sentence alone: `about`, whether something is done to a
`person` or to a `thing`, and `details`, how many of place, time and adjectives it mentions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pandas as pd

from sweep.data.demo import words
from sweep.data.demo.events import Statement
from sweep.data.demo.sts_demo import DETAILS, Edit, Wording, draw_event

CLASSES = ("entailment", "neutral", "contradiction")
_COLUMNS = ("sentence1", "sentence2", "label", "about", "details")
#: Probability that a detail of the premise is not in the hypothesis.
_DROPPED = 0.5
#: Probability of a contradiction by negation, where there are other ways.
_DENIED = 0.5

_Row = tuple[str, str, str, str, int]


def rows(rng: random.Random) -> Iterator[_Row]:
    """Endless stream of rows, no pair twice in either order."""
    seen: set[tuple[str, ...]] = set()
    while True:
        event, label = draw_event(rng), rng.choice(CLASSES)
        other = _hypothesis(event, label, rng)
        if other is None:
            continue
        wording = Wording(rng)
        first, second = wording.sentence(event), wording.sentence(other)
        key = tuple(sorted((first, second)))
        if first != second and key not in seen:
            seen.add(key)
            about = "person" if event.personal else "thing"
            yield first, second, label, about, len(_mentioned(event))


def generate_nli(
    seed: int = 0, *, train: int = 3000, dev: int = 500, test: int = 500
) -> dict[str, pd.DataFrame]:
    """The parts `train`, `dev` and `test`.

    The same seed gives the same rows on every machine, and no pair is in two parts.
    """
    # A stream of its own: the seed of the other demo must not give its events again.
    stream = rows(random.Random(f"nli {seed}"))
    # `train` comes last, so that its size does not change what is evaluated.
    parts = {
        name: pd.DataFrame(islice(stream, size), columns=list(_COLUMNS))
        for name, size in (("dev", dev), ("test", test), ("train", train))
    }
    return {name: parts[name] for name in ("train", "dev", "test")}


def _hypothesis(event: Statement, label: str, rng: random.Random) -> Statement | None:
    """None where the event has nothing that could be left open."""
    if event.negated:
        return _beside_denial(event, label)
    less = event
    for detail in _mentioned(event):
        if rng.random() < _DROPPED:
            less = _with(less, detail, None)
    if label == "contradiction":
        return _contradicted(less, rng)
    if label == "neutral":
        free = [detail for detail in _SLOTS if detail not in _mentioned(event)]
        return _with(less, added := rng.choice(free), _other(added, event, rng)) if free else None
    return less


def _beside_denial(event: Statement, label: str) -> Statement | None:
    """Who did not do it at noon may have done it at another time, and did not do it at noon."""
    if label != "neutral":
        return replace(event, negated=label == "entailment")
    if not _mentioned(event):
        return None
    for detail in _mentioned(event):
        event = _with(event, detail, None)
    return event


def _contradicted(event: Statement, rng: random.Random) -> Statement:
    verbs = words.DEEDS if event.personal else words.HANDLING
    opposite = words.opposite(event.verb, verbs)
    if rng.random() < _DENIED:
        return replace(event, negated=True)
    if opposite is not None:
        return replace(event, verb=opposite)
    counts = [count for count in words.NUMERALS if count != event.patient.count]
    return replace(event, patient=replace(event.patient, count=rng.choice(counts)))


_SLOTS: tuple[Edit, ...] = tuple(detail for detail in DETAILS if detail != "count")


def _mentioned(event: Statement) -> list[Edit]:
    """Details that the event has."""
    held = {
        "place": event.place,
        "time": event.time,
        "character": event.agent.adjective,
        "quality": event.patient.adjective,
    }
    return [detail for detail in _SLOTS if held[detail] is not None]


def _with(event: Statement, detail: Edit, sense: words.Sense | None) -> Statement:
    if detail == "character":
        return replace(event, agent=replace(event.agent, adjective=sense))
    if detail == "quality":
        return replace(event, patient=replace(event.patient, adjective=sense))
    return replace(event, place=sense) if detail == "place" else replace(event, time=sense)


def _other(detail: Edit, event: Statement, rng: random.Random) -> words.Sense:
    """A sense that the event does not have there."""
    patient = words.CHARACTER if event.personal else words.QUALITY
    tables = {"place": words.PLACES, "time": words.TIMES, "character": words.CHARACTER}
    return rng.choice(tables.get(detail, patient))
