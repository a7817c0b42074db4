"""Published points to start with: those in the space first, the others left out with words."""

from __future__ import annotations

import pytest

from composing import settings
from sweep.config.portfolio import PORTFOLIO
from sweep.config.preflight import _start_in_words
from sweep.core.fingerprint import fingerprint
from sweep.core.recipe import SEARCHABLE_KEYS


@pytest.mark.parametrize("name", ["lora_tpe", "lora_asha"])
def test_searches_start_with_the_base_recipe_and_published_points(name: str) -> None:
    composed = settings(f"+experiment={name}")
    points = composed.first_points()
    assert points[0] == composed.baseline
    assert len({fingerprint(point) for point in points}) == len(points) == 5
    assert all(composed.space.holds(point) for point in points)
    recipes = [composed.expand(point, 0) for point in points]
    rates = [recipe.trainer.learning_rate for recipe in recipes]
    assert {4e-4, 2.2e-3} <= set(rates)
    assert (16, "all-linear") in {(r.lora.r, r.lora.target_modules) for r in recipes}
    # Alpha does not go with the rank, so that rate and rank are not one.
    assert {recipe.lora.lora_alpha for recipe in recipes} == {16}


def test_point_outside_of_the_space_is_left_out_with_words() -> None:
    composed = settings("+experiment=lora_grid", "search.start_with=portfolio")
    assert len(composed.first_points()) == 1
    left_out = composed.start.left_out
    assert left_out["QLoRA"].startswith(("it has lr", "it has"))
    said = "\n".join(_start_in_words(composed))
    assert "1 published config:" in said
    assert "arXiv:2405.09673" in said
    assert "left out: LoRA on STS-B, RoBERTa-base, for it has lr 0.0004, this sweep 0.001" in said


def test_portfolio_takes_pairs_of_rank_and_alpha_as_the_space_has_them() -> None:
    pairs = "rank:{r8:{lora.r:8,lora.lora_alpha:16},r16:{lora.r:16,lora.lora_alpha:32}}"
    composed = settings(
        "search=tpe", "search.start_with=portfolio",
        f"search.space={{{pairs},lora.target_modules:[qv,all-linear]}}",
        "trainer.learning_rate=4e-4",
    )  # fmt: skip
    points = [point["rank"] for point in composed.start.points]
    assert points == ["r8", "r16"]


def test_space_without_any_of_them_starts_as_before() -> None:
    composed = settings(
        "search=random", "search.start_with=portfolio",
        "search.space={rank:{base:{lora.r:8,lora.lora_dropout:0.1},r5:{lora.r:5,lora.lora_dropout:0}}}",
    )  # fmt: skip
    assert composed.start.points == ()
    assert len(composed.start.left_out) == len(PORTFOLIO)
    assert composed.first_points() == [{"rank": "base"}]


def test_every_published_point_names_its_source_and_searchable_keys() -> None:
    for published in PORTFOLIO:
        assert "arXiv:" in published.source
        assert set(published.values) <= set(SEARCHABLE_KEYS)
