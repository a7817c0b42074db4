"""The demo data set: determinism, spread, and a score that follows meaning and not wording."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import random
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from sweep.data.demo import events, sts_demo, words
from sweep.data.demo.events import Phrase, Statement, similarity
from sweep.data.demo.sts_demo import Wording, generate
from sweep.data.demo.words import PEOPLE, Sense, indefinite, parse, participle, past, plural

#: SHA-256 of the CSV of `generate(0)`; changes whenever the grammar, the words or the score do.
DIGEST = "156dce94527dfbb04702e1b49a97b7a99710cd65d0e30e60932fe6d18555b7db"


@pytest.fixture(scope="module")
def parts() -> dict[str, pd.DataFrame]:
    return generate(0)


def digest(parts: dict[str, pd.DataFrame]) -> str:
    return hashlib.sha256("".join(df.to_csv() for df in parts.values()).encode()).hexdigest()


def sense(word: str) -> Sense:
    """The first sense in the tables that the word expresses."""
    tables = (PEOPLE, words.THINGS, words.DEEDS, words.HANDLING)
    more = (words.CHARACTER, words.QUALITY, words.PLACES)
    return next(s for table in (*tables, *more) for s in table if word in s.words)


def event(agent: str, verb: str, patient: str, *, negated: bool = False) -> Statement:
    return Statement(Phrase(sense(agent)), sense(verb), Phrase(sense(patient)), negated=negated)


# -- the whole data set --------------------------------------------------------------------------


@pytest.mark.long
def test_same_bytes_for_the_same_seed(parts: dict[str, pd.DataFrame]) -> None:
    assert digest(parts) == DIGEST


@pytest.mark.long
@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_same_bytes_whatever_the_hash_seed(hash_seed: str) -> None:
    script = (
        "import hashlib, itertools, random; from sweep.data.demo.sts_demo import pairs;"
        "rows = list(itertools.islice(pairs(random.Random(5)), 200));"
        "print(hashlib.sha256(repr(rows).encode()).hexdigest())"
    )
    env = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)}
    out = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    stream = sts_demo.pairs(random.Random(5))
    rows = [next(stream) for _ in range(200)]
    assert out.stdout.strip() == hashlib.sha256(repr(rows).encode()).hexdigest()


def test_other_seed_other_rows(parts: dict[str, pd.DataFrame]) -> None:
    other = generate(1, train=0, dev=500, test=0)["dev"]
    assert len(set(other.sentence1) & set(parts["dev"].sentence1)) < 25


def test_sizes_columns_and_types(parts: dict[str, pd.DataFrame]) -> None:
    assert {name: len(df) for name, df in parts.items()} == {"train": 4000, "dev": 500, "test": 500}
    for df in parts.values():
        assert list(df.columns) == ["sentence1", "sentence2", "score"]
        assert df.score.dtype == np.float64
        assert all(isinstance(text, str) for text in (*df.sentence1, *df.sentence2))


def test_no_pair_is_in_two_parts(parts: dict[str, pd.DataFrame]) -> None:
    both = pd.concat(parts.values())
    pairs = {frozenset(pair) for pair in zip(both.sentence1, both.sentence2, strict=True)}
    assert len(pairs) == len(both) == 5000
    assert all(len(pair) == 2 for pair in pairs)


def test_train_size_leaves_dev_and_test_alone(parts: dict[str, pd.DataFrame]) -> None:
    small = generate(0, train=10)
    assert len(small["train"]) == 10
    assert small["dev"].equals(parts["dev"])
    assert small["test"].equals(parts["test"])


def test_scores_use_the_whole_range(parts: dict[str, pd.DataFrame]) -> None:
    for df in parts.values():
        assert df.score.between(0, 5).all()
        shares = np.histogram(df.score, bins=5, range=(0, 5))[0] / len(df)
        assert shares.min() > 0.08
        assert shares.max() < 0.40
        assert df.score.std() > 1.2
    assert parts["train"].score.min() == 0
    assert parts["train"].score.max() == 5


def test_word_overlap_does_not_give_the_score_away(parts: dict[str, pd.DataFrame]) -> None:
    rarity = _rarity(pd.concat([parts["train"].sentence1, parts["train"].sentence2]))
    for name in ("dev", "test"):
        df = parts[name]
        pairs = list(zip(df.sentence1, df.sentence2, strict=True))
        jaccard = [_jaccard(*pair) for pair in pairs]
        tfidf = [_tfidf(*pair, rarity) for pair in pairs]
        for overlap in (jaccard, tfidf):
            assert 0.2 < np.corrcoef(overlap, df.score)[0, 1] < 0.52


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _jaccard(a: str, b: str) -> float:
    return len(_words(a) & _words(b)) / len(_words(a) | _words(b))


def _tfidf(a: str, b: str, rarity: dict[str, float]) -> float:
    """Cosine of the sentences' words weighted by rarity."""

    def norm(words: set[str]) -> float:
        return math.sqrt(sum(rarity.get(word, 9.0) ** 2 for word in words))

    x, y = _words(a), _words(b)
    return norm(x & y) ** 2 / (norm(x) * norm(y))


def _rarity(texts: pd.Series[str]) -> dict[str, float]:
    counts = Counter(word for text in texts for word in _words(text))
    return {word: 1 + math.log(len(texts) / count) for word, count in counts.items()}


def test_sentences_are_well_formed(parts: dict[str, pd.DataFrame]) -> None:
    for text in (*parts["dev"].sentence1, *parts["dev"].sentence2, *parts["test"].sentence2):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9-]*(,? [A-Za-z0-9-]+)+\.", text), text
        for article in re.finditer(r"\b([Aa]n?) (\w+)", text):
            vowel = article[2][0].lower() in "aeiou" or article[2] == "honest"
            assert (article[1].lower() == "an") == (vowel and article[2][:3] != "use"), text
        # A count at the beginning is the subject of a passive.
        assert not re.match(r"(Two|Three|Four|A dozen|A pair of|A couple of) (\S+ ){1,4}was ", text)


# -- the score -----------------------------------------------------------------------------------


def test_score_ignores_wording_and_order() -> None:
    praise = event("nurse", "praise", "farmer")
    assert similarity(praise, praise) == 1.0
    assert similarity(praise, event("nurse", "visit", "farmer")) == similarity(
        event("nurse", "visit", "farmer"), praise
    )


def test_exchanged_roles_lower_the_score() -> None:
    praise = event("nurse", "praise", "farmer")
    exchanged = similarity(praise, praise.exchanged())
    assert exchanged == events.EXCHANGED_ROLES
    assert exchanged < similarity(praise, event("surgeon", "praise", "farmer"))


def test_exchanged_roles_of_a_symmetric_verb_keep_it() -> None:
    meet = event("nurse", "meet", "farmer")
    assert similarity(meet, meet.exchanged()) == 1.0


def test_negation_and_opposite_contradict_alone_and_agree_together() -> None:
    praise = event("nurse", "praise", "farmer")
    denied = similarity(praise, event("nurse", "praise", "farmer", negated=True))
    opposite = similarity(praise, event("nurse", "criticize", "farmer"))
    both = similarity(praise, event("nurse", "criticize", "farmer", negated=True))
    assert denied == opposite < 0.4
    assert 0.7 < both < 1.0


def test_nouns_grade_from_same_over_hypernym_and_relative_to_unrelated() -> None:
    drummer = event("nurse", "help", "drummer")
    others = ("drummer", "musician", "pianist", "farmer")
    grades = [similarity(drummer, event("nurse", "help", noun)) for noun in others]
    assert grades == sorted(grades, reverse=True)
    assert len(set(grades)) == 4


def test_opposite_adjective_is_worse_than_another_and_than_none() -> None:
    def person(adjective: str | None) -> Statement:
        plain = event("nurse", "help", "farmer")
        quality = sense(adjective) if adjective else None
        return dataclasses.replace(plain, patient=Phrase(plain.patient.noun, quality))

    tall = person("tall")
    grades = [similarity(tall, person(other)) for other in ("tall", None, "rich", "short")]
    assert grades == sorted(grades, reverse=True)
    assert len(set(grades)) == 4


def test_near_numbers_are_closer_than_far_ones() -> None:
    def cars(count: int) -> Statement:
        return Statement(Phrase(sense("nurse")), sense("buy"), Phrase(sense("car"), count=count))

    grades = [similarity(cars(5), cars(count)) for count in (5, 6, 8, 40)]
    assert grades == sorted(grades, reverse=True)
    assert len(set(grades)) == 4


def test_rating_is_near_the_similarity_and_noisy() -> None:
    rng = random.Random(0)
    ratings = [events.rate(0.5, rng) for _ in range(500)]
    assert np.mean(ratings) == pytest.approx(2.5, abs=0.05)
    assert 0.1 < np.std(ratings) < 0.5


# -- the wording ---------------------------------------------------------------------------------


def wordings(what: Statement) -> set[str]:
    return {Wording(random.Random(seed)).sentence(what) for seed in range(80)}


def test_an_event_is_told_in_active_and_passive_with_synonyms() -> None:
    told = wordings(event("nurse", "praise", "farmer"))
    assert "The nurse praised the farmer." in told
    assert "The farmer was complimented by the nurse." in told
    assert not any(text.startswith(("The nurse was", "A nurse was")) for text in told)


def test_converse_verb_tells_it_from_the_other_side() -> None:
    told = wordings(event("nurse", "beat", "farmer"))
    assert "The farmer lost to the nurse." in told
    assert not any("was" in text for text in told)


def test_negation_is_worded_in_both_voices() -> None:
    told = wordings(event("nurse", "praise", "farmer", negated=True))
    assert "The nurse did not praise the farmer." in told
    assert "The farmer was not praised by the nurse." in told
    assert all(" not " in text for text in told)


def test_numbers_are_spelt_out_or_in_digits_and_agree() -> None:
    told = wordings(
        Statement(Phrase(sense("nurse")), sense("buy"), Phrase(sense("sofa"), count=12))
    )
    assert "The nurse bought 12 sofas." in told
    assert "A dozen couches were purchased by the nurse." in told


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("praise", ("praised", "praised")),
        ("hug", ("hugged", "hugged")),
        ("destroy", ("destroyed", "destroyed")),
        ("identify", ("identified", "identified")),
        ("throw away", ("threw away", "thrown away")),
        ("draw", ("drew", "drawn")),
    ],
)
def test_verbs_are_inflected(verb: str, forms: tuple[str, str]) -> None:
    assert (past(verb), participle(verb)) == forms


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("lady", "ladies"),
        ("boy", "boys"),
        ("box", "boxes"),
        ("thief", "thieves"),
        ("secret agent", "secret agents"),
        ("piece of furniture", "pieces of furniture"),
    ],
)
def test_nouns_are_inflected(noun: str, many: str) -> None:
    assert plural(noun) == many


def test_articles_follow_the_sound() -> None:
    phrases = ("old car", "honest cook", "useful saw", "useless saw", "Italian bus", "red bus")
    articles = [indefinite(phrase).split()[0] for phrase in phrases]
    assert articles == ["an", "an", "a", "a", "an", "a"]


def test_table_notation() -> None:
    hypernym, big, small, lose = parse("size: big/large <> small\n(game): beat ~ lose to")
    assert hypernym == Sense(("size",), "size", "size", hypernym=True)
    assert (big.words, big.pole, small.words, small.pole) == (("big", "large"), 1, ("small",), -1)
    assert big.axis == small.axis
    assert (lose.words, lose.converse) == (("beat",), ("lose to",))
