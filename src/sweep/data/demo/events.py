"""Events of the demo data, and how much meaning two of them share (see `sts_demo`)."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from sweep.data.demo import words
from sweep.data.demo.words import Sense

#: Weight of a slot in the score; a detail that neither sentence mentions has none.
VERB_WEIGHT = 3.0
NOUN_WEIGHT = 2.0
DETAIL_WEIGHT = 1.25
#: What a related sense, its hypernym, an opposite adjective, and a detail that only one of the
#: sentences mentions are worth.
RELATED = 0.35
HYPERNYM = 0.7
OPPOSITE = -1.0
UNMENTIONED = 0.35
#: "did not praise" against "criticized": the same stance, not quite the same statement.
SAME_STANCE = 0.6
#: Factors on the whole score; the last one for different verbs of which one is negated.
EXCHANGED_ROLES = 0.5
CONTRADICTION = 0.5
ONE_DENIED = 0.8

RATERS = 5
#: Half-width of a rater's uniform error, in points, before rounding to a whole mark.
RATER_ERROR = 0.8

#: A tuple would be searched by comparison, which was half of the time that the data take.
_PEOPLE = frozenset(words.PEOPLE)


@dataclass(frozen=True)
class Phrase:
    """A participant: noun, adjective if any, and how many of them."""

    noun: Sense
    adjective: Sense | None = None
    count: int = 1


@dataclass(frozen=True)
class Statement:
    """What a sentence says, free of wording."""

    agent: Phrase
    verb: Sense
    patient: Phrase
    place: Sense | None = None
    time: Sense | None = None
    negated: bool = False

    @property
    def personal(self) -> bool:
        """Whether the patient is a person, who could be the agent as well."""
        return self.patient.noun in _PEOPLE

    @property
    def stance(self) -> int:
        """Side of the verb's axis the statement is on: negation turns it round."""
        return -self.verb.pole if self.negated else self.verb.pole

    def exchanged(self) -> Statement:
        """The event with agent and patient in each other's place."""
        return replace(self, agent=self.patient, patient=self.agent)


# -- score ---------------------------------------------------------------------------------------


def similarity(a: Statement, b: Statement) -> float:
    """Share of meaning that two events have in common, from 0 to 1; symmetric."""
    straight = _aligned(a, b)
    if not (a.personal and b.personal):
        return straight
    symmetric = a.verb.symmetric and b.verb.symmetric
    return max(straight, _aligned(a, b.exchanged()) * (1.0 if symmetric else EXCHANGED_ROLES))


def _aligned(a: Statement, b: Statement) -> float:
    """Similarity with agent compared to agent and patient to patient."""
    slots = [(VERB_WEIGHT, _verbs(a, b))]
    for x, y in ((a.agent, b.agent), (a.patient, b.patient)):
        slots.append((NOUN_WEIGHT, _senses(x.noun, y.noun)))
        if x.count > 1 or y.count > 1:
            slots.append((DETAIL_WEIGHT, _counts(x.count, y.count)))
    details = ((a.agent.adjective, b.agent.adjective), (a.patient.adjective, b.patient.adjective))
    for s, t in (*details, (a.place, b.place), (a.time, b.time)):
        if s or t:
            slots.append((DETAIL_WEIGHT, _senses(s, t) if s and t else UNMENTIONED))
    agreeing = sum(weight * value for weight, value in slots)
    share = max(0.0, agreeing / sum(weight for weight, _ in slots))
    return share * _agreement(a, b)


def _agreement(a: Statement, b: Statement) -> float:
    """Factor for statements that deny each other, or of which only one denies something."""
    if a.verb.axis == b.verb.axis:
        return 1.0 if a.stance == b.stance else CONTRADICTION
    return 1.0 if a.negated == b.negated else ONE_DENIED


def _verbs(a: Statement, b: Statement) -> float:
    if a.verb.axis != b.verb.axis:
        return RELATED if a.verb.field == b.verb.field and a.negated == b.negated else 0.0
    if a.stance != b.stance:
        return 0.0
    return 1.0 if a.verb.pole == b.verb.pole else SAME_STANCE


def _senses(a: Sense, b: Sense) -> float:
    if a.axis == b.axis:
        return 1.0 if a.pole == b.pole else OPPOSITE
    if a.field != b.field:
        return 0.0
    return HYPERNYM if a.hypernym or b.hypernym else RELATED


def _counts(a: int, b: int) -> float:
    """1 if equal, 0 from a factor of two on."""
    return max(0.0, 2.0 - max(a, b) / min(a, b))


def rate(share: float, rng: random.Random) -> float:
    """Mean of the raters' marks from 0 to 5 for a similarity from 0 to 1."""
    errors = [RATER_ERROR * (2 * rng.random() - 1) for _ in range(RATERS)]
    return round(sum(min(5, max(0, round(5 * share + e))) for e in errors) / RATERS, 2)
