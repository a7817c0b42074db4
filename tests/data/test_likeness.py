"""Normalised text, and the join of nearly equal pairs against comparing all of them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.data.likeness import Key, near_pairs, normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (unicodedata.normalize("NFD", "고양이가 잔다"), "고양이가  잔다."),
        ("ＡＢＣ 호텔!", "abc 호텔"),
        ("He said: “No”.", "he said no"),
        ("Straße", "STRASSE"),
        ("a_b", "a b"),
        ("아무 것도 할 수 없다", "아무것도 할수없다"),
        ("아이폰 15 프로", "아이폰15프로"),
        ("do n't", "don't"),
        ("날씨가\u200b좋다", "날씨가좋다"),
        ("\ufeff1\u200b5일", "15일"),
        ("영화\u3164〈기생충〉", "영화 <기생충>"),
        ("안녕~", "안녕!"),
        ("❤\ufe0f", "❤"),
        ("GPT-4", "GPT 4"),
        ("\u22125도", "-5도"),
        ("기온 \u20135도", "기온 -5도"),
        ("2024. 5. 1", "2024.5.1"),
        ("10 - 20명", "10\u201320명"),
        ("5 %", "5%"),
        ("- 고양이", "고양이"),
    ],
)
def test_form_case_spaces_and_punctuation_do_not_count(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    "texts",
    [
        ("안 갔다", "갔다"),
        ("!", "?"),
        ("3.5", "35", "3,5", "3 5", "3:5", "3-5", "3/5"),
        ("최저 기온은 -5도", "최저 기온은 5도", "최저 기온은 +5도"),
        ("(-5도)", "(5도)"),
        ("-$5", "$5", "5", "€5"),
        ("나는 C를 배운다", "나는 C#을 배운다", "나는 C++를 배운다"),
        ("5% 올랐다", "5 올랐다"),
        ("a = b", "a ≠ b", "a + b"),
        ("좋아요 😊", "좋아요 😡", "좋아요"),
        ("कि", "की", "का"),
    ],
)
def test_what_means_something_else_stays_different(texts: tuple[str, ...]) -> None:
    assert len({normalised(text) for text in texts}) == len(texts)


@given(st.text(max_size=12), st.text(" \t\u200b\u3000", min_size=1, max_size=3))
def test_white_space_counts_between_digits_only(text: str, space: str) -> None:
    middle = len(text) // 2
    spaced = f"{space}{text[:middle]}한{space}글{text[middle:]}{space}"
    assert normalised(spaced) == normalised(f"{text[:middle]}한글{text[middle:]}")


def jaccard(one: Key, other: Key) -> float:
    bags = [Counter(f" {text} "[i : i + 3] for text in key for i in range(len(text)))
            for key in (one, other)]  # fmt: skip
    shared = (bags[0] & bags[1]).total()
    return shared / (bags[0].total() + bags[1].total() - shared)


TEXT = st.text("가나다ab ", min_size=1, max_size=14).map(lambda t: t.strip() or "x")


@pytest.mark.long
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
