"""The demo data set: English sentence pairs from a grammar of our own, scored by shared meaning.

It lets the program run offline and still gives LoRA something to learn that a pretrained encoder
knows half of and word counts do not show.

A pair starts from an `Statement`: who did what to whom, of what kind, how many, where, when, and
whether it happened at all. A second event is the first after a few edits (opposite or related
verb, negation, exchanged roles, related noun, other number, dropped detail, ...) or a new one in
the same surroundings. Both are put into words independently: synonyms, active, passive or
converse verb ("defeated", "lost to"), figures or numerals, adverbials in front or at the end. So
words and meaning come apart both ways: a passive with new synonyms keeps the meaning, one "not"
or two exchanged nouns change it.

The score follows from the two events alone (`similarity`), never from the wording: a weighted
share of agreeing slots, discounted when roles are exchanged or the statements deny each other.
Like a human gold score it is the mean of several raters' whole marks, and the raters differ:
that is the noise ceiling of the data.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Literal, assert_never

import pandas as pd

from sweep.data.demo import words
from sweep.data.demo.events import Phrase, Statement, rate, similarity
from sweep.data.demo.words import Sense

#: Probabilities, of an event: a person as patient, a negation; of the second event: unrelated but
#: for surroundings and perhaps the agent; of an edit: to a near sense, to a detail and not without.
PERSONAL = 0.5
NEGATED = 0.1
UNRELATED = 0.17
SAME_AGENT = 0.3
NEAR = 0.45
KEPT = 0.75
#: Probabilities of wordings: adverbial in front, from the patient's side, fresh synonym, `the`.
FRONTED = 0.25
INVERTED = 0.25
FRESH = 0.5
DEFINITE = 0.6


# -- events --------------------------------------------------------------------------------------

Edit = Literal[
    "place",
    "time",
    "character",
    "quality",
    "count",
    "agent",
    "patient",
    "verb",
    "negation",
    "roles",
]
#: Relative frequency of the edits; people can also exchange roles.
DETAILS: dict[Edit, int] = {"place": 2, "time": 2, "character": 2, "quality": 3, "count": 2}
EDITS: dict[Edit, int] = {**DETAILS, "agent": 3, "patient": 3, "verb": 4, "negation": 7}
PERSONAL_EDITS: dict[Edit, int] = {**EDITS, "roles": 3}
#: Drawn from with equal probability: how many edits, and how many details of a new event.
EDIT_COUNTS = (0, 1, 1, 2, 2, 3, 4)
DETAIL_COUNTS = (1, 1, 1, 2)


def draw_event(rng: random.Random) -> Statement:
    """A new event with one or two details."""
    personal = rng.random() < PERSONAL
    agent = rng.choice(words.PEOPLE)
    patient = words.stranger(agent, words.PEOPLE, rng) if personal else rng.choice(words.THINGS)
    verb = rng.choice(words.DEEDS if personal else words.HANDLING)
    event = Statement(Phrase(agent), verb, Phrase(patient), negated=rng.random() < NEGATED)
    details = rng.choices(list(DETAILS), list(DETAILS.values()), k=rng.choice(DETAIL_COUNTS))
    for detail in details:
        event = _edited(event, detail, rng)
    return event


def derive_event(event: Statement, rng: random.Random) -> Statement:
    """A second event to compare: a few edits away, or a new one that borrows some words."""
    if rng.random() < UNRELATED:
        agent = event.agent if rng.random() < SAME_AGENT else None
        return _borrow(draw_event(rng), event, agent)
    weights = PERSONAL_EDITS if event.personal else EDITS
    edits = rng.choices(list(weights), list(weights.values()), k=rng.choice(EDIT_COUNTS))
    other = event
    for edit in edits:
        edited = _edited(other, edit, rng)
        # Nobody does anything to a namesake: who is who would be anyone's guess.
        other = edited if edited.agent.noun != edited.patient.noun else other
    return other


def _borrow(event: Statement, lender: Statement, agent: Phrase | None) -> Statement:
    """The event in the surroundings of another, perhaps with its agent: shared words only."""
    event = replace(event, place=lender.place, time=lender.time)
    return replace(event, agent=agent) if agent and agent.noun != event.patient.noun else event


def _edited(event: Statement, edit: Edit, rng: random.Random) -> Statement:
    """The event after one edit; `character` describes the agent and `quality` the patient."""
    agent, patient = event.agent, event.patient
    if event.personal:
        nouns, verbs, adjectives = words.PEOPLE, words.DEEDS, words.CHARACTER
    else:
        nouns, verbs, adjectives = words.THINGS, words.HANDLING, words.QUALITY
    match edit:
        case "agent":
            agent = replace(agent, noun=_changed(agent.noun, words.PEOPLE, rng))
        case "patient":
            patient = replace(patient, noun=_changed(patient.noun, nouns, rng))
        case "verb":
            event = replace(event, verb=_changed(event.verb, verbs, rng))
        case "negation":
            event = replace(event, negated=not event.negated)
        case "roles":
            agent, patient = patient, agent
        case "character":
            agent = replace(agent, adjective=_redetailed(agent.adjective, words.CHARACTER, rng))
        case "quality":
            patient = replace(patient, adjective=_redetailed(patient.adjective, adjectives, rng))
        case "count":
            counts = [count for count in words.NUMERALS if count != patient.count]
            patient = replace(patient, count=rng.choice(counts))
        case "place":
            event = replace(event, place=_redetailed(event.place, words.PLACES, rng))
        case "time":
            event = replace(event, time=_redetailed(event.time, words.TIMES, rng))
        case _:
            assert_never(edit)
    return replace(event, agent=agent, patient=patient)


def _changed(sense: Sense, table: tuple[Sense, ...], rng: random.Random) -> Sense:
    """Another sense: opposite or related where the table has one, or any."""
    options = (words.opposite(sense, table), words.relative(sense, table, rng))
    near = [option for option in options if option]
    return rng.choice(near) if near and rng.random() < NEAR else words.stranger(sense, table, rng)


def _redetailed(sense: Sense | None, table: tuple[Sense, ...], rng: random.Random) -> Sense | None:
    """A detail changed or dropped, or added where there was none."""
    if sense is None:
        return rng.choice(table)
    return _changed(sense, table, rng) if rng.random() < KEPT else None


# -- wording -------------------------------------------------------------------------------------


class Wording:
    """Puts events into words, and remembers which words it has used.

    A word already used for a meaning is avoided where a synonym is left, so that the second
    sentence of a pair mostly shares no more words with the first than its meaning forces it to.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._used: set[str] = set()

    def sentence(self, event: Statement) -> str:
        """One sentence that states the event."""
        rng = self._rng
        adverbials = [self._pick(sense.words) for sense in (event.place, event.time) if sense]
        front = ""
        if adverbials and rng.random() < FRONTED:
            front = adverbials.pop(rng.randrange(len(adverbials))) + ", "
        text = " ".join([front + self._clause(event), *adverbials])
        return text[0].upper() + text[1:] + "."

    def _clause(self, event: Statement) -> str:
        """Active, or from the patient's side: with a converse verb if there is one, or passive."""
        inverted = self._rng.random() < INVERTED
        subject, object_ = event.agent, event.patient
        if inverted:
            subject, object_ = object_, subject
        first, second = self._phrase(subject, opening=True), self._phrase(object_)
        if inverted and not event.verb.converse:
            be = "were" if subject.count > 1 else "was"
            verb = words.participle(self._pick(event.verb.words))
            return f"{first} {be}{' not' if event.negated else ''} {verb} by {second}"
        verb = self._pick(event.verb.converse if inverted else event.verb.words)
        predicate = f"did not {verb}" if event.negated else words.past(verb)
        return f"{first} {predicate} {second}"

    def _phrase(self, phrase: Phrase, opening: bool = False) -> str:
        noun = self._pick(phrase.noun.words)
        if phrase.count > 1:
            noun = words.plural(noun)
        described = f"{self._pick(phrase.adjective.words)} {noun}" if phrase.adjective else noun
        if phrase.count == 1:
            return (
                f"the {described}" if self._rng.random() < DEFINITE else words.indefinite(described)
            )
        numerals = words.NUMERALS[phrase.count]
        # A sentence does not open with a figure.
        options = numerals if opening else (*numerals, *[str(phrase.count)] * len(numerals))
        return f"{self._pick(options)} {described}"

    def _pick(self, options: tuple[str, ...]) -> str:
        fresh = [word for word in options if word not in self._used]
        word = self._rng.choice(fresh if fresh and self._rng.random() < FRESH else options)
        self._used.add(word)
        return word


# -- data set ------------------------------------------------------------------------------------


def pairs(rng: random.Random) -> Iterator[tuple[str, str, float]]:
    """Endless stream of sentence pairs with their scores, no pair twice in either order."""
    seen: set[tuple[str, ...]] = set()
    while True:
        event = draw_event(rng)
        other = derive_event(event, rng)
        wording = Wording(rng)
        first, second = wording.sentence(event), wording.sentence(other)
        score = rate(similarity(event, other), rng)
        key = tuple(sorted((first, second)))
        if first != second and key not in seen:
            seen.add(key)
            yield first, second, score


def generate(
    seed: int = 0, *, train: int = 4000, dev: int = 500, test: int = 500
) -> dict[str, pd.DataFrame]:
    """The parts `train`, `dev` and `test`, each with columns `sentence1`, `sentence2`, `score`.

    The same seed gives the same rows on every machine, and no pair is in two parts.
    """
    stream = pairs(random.Random(seed))
    # `train` comes last, so that its size does not change what is evaluated.
    parts = {
        name: pd.DataFrame(islice(stream, size), columns=["sentence1", "sentence2", "score"])
        for name, size in (("dev", dev), ("test", test), ("train", train))
    }
    return {name: parts[name] for name in ("train", "dev", "test")}
