"""Normalised text, and the join of nearly equal pairs against comparing all of them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.train.likeness import Key, near_pairs, normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (unicodedata.normalize("NFD", "고양이가 잔다"), "고양이가  잔다."),
        ("ＡＢＣ 호텔!", "abc 호텔"),
        ("He said: “No”.", "he said no"),
        ("Straße", "STRASSE"),
        ("a_b", "a b"),
    ],
)
def test_form_case_spaces_and_punctuation_do_not_count(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(("one", "other"), [("안 갔다", "갔다"), ("!", "?"), ("3.5", "35")])
def test_what_means_something_else_stays_different(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def jaccard(one: Key, other: Key) -> float:
    bags = [Counter(f" {text} "[i : i + 3] for text in key for i in range(len(text)))
            for key in (one, other)]  # fmt: skip
    shared = (bags[0] & bags[1]).total()
    return shared / (bags[0].total() + bags[1].total() - shared)


TEXT = st.text("가나다ab ", min_size=1, max_size=14).map(lambda t: t.strip() or "x")


@given(st.sets(st.tuples(TEXT, TEXT), min_size=1, max_size=25), st.sampled_from([0.5, 0.8, 0.9]))
@settings(deadline=None, max_examples=60)
def test_join_finds_what_comparing_all_pairs_finds(keys: set[Key], least: float) -> None:
    rows = sorted(keys)
    expected = {
        (i, j): jaccard(rows[i], rows[j])
        for i, j in combinations(range(len(rows)), 2)
        if jaccard(rows[i], rows[j]) >= least - 1e-9
    }
    found = near_pairs(rows, least=least)
    couples = zip(found.first.tolist(), found.second.tolist(), strict=True)
    assert dict(zip(couples, found.likeness, strict=True)) == pytest.approx(expected)
