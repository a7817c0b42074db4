"""Words of the glossary that name a column name one that a sweep writes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pages import codes, tables, text_of

ROWS = [row for table in tables(text_of("docs/glossary.md")) for row in table[1:]]
DESIGN = (
    "recipe", "config", "run", "trial", "pack", "rung", "checkpoint", "study", "default",
    "baseline", "tie set", "confirmed", "pruned", "audit", "race", "effective rank",
)  # fmt: skip
TABLES = ("table.csv", "leaderboard.csv", "effects.csv", "importance.csv", "rank_use.csv")


@pytest.fixture(scope="module")
def columns(korean_study: Path) -> dict[str, list[str]]:
    return {name: list(pd.read_csv(korean_study / name, nrows=0).columns) for name in TABLES}


def test_named_columns_are_there(columns: dict[str, list[str]]) -> None:
    known = {column for names in columns.values() for column in names}
    named = {column for _, _, cell in ROWS for column in codes(cell)}
    assert named <= known


def test_every_column_of_the_leaderboard_is_explained(
    columns: dict[str, list[str]],
) -> None:
    named = {column for _, _, cell in ROWS for column in codes(cell)}
    assert set(columns["leaderboard.csv"]) <= named


def test_every_word_is_explained_once_in_a_sentence_or_three() -> None:
    words = [word for names, _, _ in ROWS for word in names.split(", ")]
    assert len(set(words)) == len(words)
    assert all(meaning.endswith(".") and len(meaning) < 260 for _, meaning, _ in ROWS)
    for word in DESIGN:
        assert any(word in names for names, _, _ in ROWS), word
