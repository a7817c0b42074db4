"""Spaces: what a point sets, what a grid visits, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.space.points import point_of
from sweep.space.space import Space, parse_space

PAIRS = {
    "r8_a16": {"lora.r": 8, "lora.lora_alpha": 16},
    "r16_a32": {"lora.r": 16, "lora.lora_alpha": 32},
}


def parse(content: dict[str, Any]) -> Space:
    return parse_space(content, valid_keys=SEARCHABLE_KEYS)


def test_labelled_choice_sets_both_keys_of_a_pair() -> None:
    space = parse({"rank": PAIRS})
    assert space.keys == ("lora.r", "lora.lora_alpha")
    assert space.values({"rank": "r16_a32"}) == {"lora.r": 16, "lora.lora_alpha": 32}


@pytest.mark.parametrize(
    "labels", [("low", "mid", "high"), ("low", "high"), ("low",), ("high", "step"), ("when", "low")]
)
def test_labels_may_be_named_as_the_parts_of_a_range(labels: tuple[str, ...]) -> None:
    content = {label: {"lora.r": 4 * n} for n, label in enumerate(labels, 1) if label != "when"}
    if "when" in labels:
        content["when"] = {"lora.bias": "all"}  # type: ignore[dict-item]
    space = parse({"lora.bias": ["all", "none"], "size": content})
    found = {cell["size"]: space.values(cell)["lora.r"] for cell in space.grid() if "size" in cell}
    assert found == {label: v["lora.r"] for label, v in content.items() if label != "when"}


def test_grid_visits_every_combination_once() -> None:
    space = parse({"rank": PAIRS, "lora.lora_dropout": [0.0, 0.1], "lora.target_modules": ["qv"]})
    cells = space.grid()
    assert len(cells) == 4
    assert len({json.dumps(cell) for cell in cells}) == 4


def test_list_choice_is_one_short_label_that_keeps_its_value() -> None:
    space = parse({"lora.target_modules": [["query", "value"], "all-linear"]})
    assert [cell["lora.target_modules"] for cell in space.grid()] == ["query+value", "all-linear"]
    assert space.values(space.grid()[0]) == {"lora.target_modules": ("query", "value")}


def test_space_without_dimensions_has_one_point() -> None:
    assert parse({}).grid() == [{}]


def test_null_takes_a_dimension_out() -> None:
    assert parse({"rank": PAIRS, "lora.lora_dropout": None}).keys == ("lora.r", "lora.lora_alpha")


def test_range_with_step_has_a_grid_with_both_ends() -> None:
    space = parse({"lora.lora_dropout": {"low": 0.0, "high": 0.3, "step": 0.1}})
    assert [c["lora.lora_dropout"] for c in space.grid()] == [0.0, 0.1, 0.2, 0.3]


@given(
    st.integers(-50, 50), st.integers(1, 40), st.integers(0, 60), st.sampled_from([1, 1e-2, 1e-5])
)
def test_rounding_errors_are_no_other_places_of_a_range_with_step(
    low: int, step: int, count: int, unit: float
) -> None:
    """A unit of 0.01 is written with two digits, as a user does."""

    def number(units: int) -> float:
        return float(f"{units * unit:.5f}")

    low_number, step_number = number(low), number(step)
    content = {"low": low_number, "high": number(low + count * step), "step": step_number}
    space = parse({"trainer.weight_decay": content})
    grid = [cell["trainer.weight_decay"] for cell in space.grid()]
    assert grid == [number(low + i * step) for i in range(count + 1)]
    for i, place in enumerate(grid):
        drawn = {"trainer.weight_decay": low_number + i * step_number}
        assert space.holds({"trainer.weight_decay": place})
        assert space.values(drawn) == {"trainer.weight_decay": place}
        if space.holds(drawn):
            assert point_of(space, Recipe().value_of, drawn) == {"trainer.weight_decay": place}


def test_range_whose_ends_have_many_digits_holds_its_grid() -> None:
    space = parse({"trainer.weight_decay": {"low": 1 / 3, "high": 5 / 3, "step": 1 / 3}})
    assert len(space.grid()) == 5
    assert all(space.holds(cell) for cell in space.grid())


def test_whole_range_gives_whole_numbers() -> None:
    space = parse({"lora.r": {"low": 4, "high": 12, "step": 4}})
    values = [space.values(cell)["lora.r"] for cell in space.grid()]
    assert values == [4, 8, 12]
    assert all(isinstance(v, int) for v in values)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"lora.lora_alhpa": [8, 16]}, "did you mean `lora.lora_alpha`"),
        ({"seed": [0, 1]}, "search.seeds"),
        ({"data.seed": [0, 1]}, "search.seeds"),
        ({"rank": {"a": {"lora.r": 8}, "b": {"lora.lora_alpha": 8}}}, "same keys"),
        ({"lora.r": [4], "rank": PAIRS}, "one dimension"),
        ({"lora.r": {"low": 8, "high": 4}}, "low <= high"),
        ({"trainer.learning_rate": {"low": 0, "high": 1, "log": True}}, "low > 0"),
        ({"rank": 8}, "must be a key of the configuration"),
        ({"lora.r": 8, "rank": PAIRS}, "one dimension"),
        ({"lora.r": {"values": [4], "when": {"lora.bias": ["all"]}}}, "dimension of choices"),
        ({"lora.r": [4], "lora.bias": {"values": ["all"], "when": 3}}, "for example `when"),
        (
            {"lora.r": [4, 8], "lora.bias": {"values": ["all"], "when": {"lora.r": [16]}}},
            "one of: 4, 8",
        ),
        (
            {"lora.r": {"low": 1, "high": 4, "when": {"lora.r": ["1"]}}},
            "dimension of choices",
        ),
        (
            {
                "lora.r": {"values": [4, 8], "when": {"lora.bias": ["all"]}},
                "lora.bias": {"values": ["all", "none"], "when": {"lora.r": [4]}},
            },
            "can't depend on itself",
        ),
        (
            {
                "lora.bias": ["all", "none"],
                "lora.r": {"values": [4, 8], "when": {"lora.bias": ["all"]}},
                "lora.use_rslora": {
                    "values": [True, False],
                    "when": {"lora.r": [4], "lora.bias": ["none"]},
                },
            },
            "must be able to hold",
        ),
        ({"lora.r": []}, "must be a list"),
        ({"lora.r": {"low": 8}}, "needs both of its ends.*add `high`"),
        ({"lora.r": {"high": 8, "step": 2}}, "needs both of its ends.*add `low`"),
        ({"lora.r": {"low": "few", "high": 8}}, "low <= high"),
        ({"lora.r": {"low": True, "high": 8}}, "low <= high"),
        ({"lora.r": {"low": {"lora.r": 8}, "high": 16}}, "must be a list"),
        ({"lora.r": {"low": {}, "high": {"lora.r": 8}}}, "must be a list"),
    ],
)
def test_wrong_space_is_refused_with_a_way_out(content: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="(?s)" + said.replace("[", r"\[")):
        parse(content)


def test_range_without_step_has_no_grid() -> None:
    space = parse({"trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}})
    with pytest.raises(ConfigError, match="search=tpe"):
        space.grid()


@pytest.mark.long
@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=5, unique=True),
    st.lists(st.floats(0, 0.9), min_size=1, max_size=4, unique=True),
)
def test_every_cell_is_another_recipe_and_sets_what_it_says(
    ranks: list[int], dropouts: list[float]
) -> None:
    space = parse({"lora.r": ranks, "lora.lora_dropout": dropouts})
    recipes = [Recipe().with_values(space.values(cell)) for cell in space.grid()]
    assert {(r.lora.r, r.lora.lora_dropout) for r in recipes} == {
        (r, d) for r in ranks for d in dropouts
    }
    assert len({r.config_id for r in recipes}) == len(ranks) * len(dropouts)


CONDITIONAL = {
    # Conditions may come before what they look at.
    "trainer.learning_rate": {
        "low": 1e-4,
        "high": 3e-4,
        "step": 1e-4,
        "when": {"lora.target_modules": ["all-linear"]},
    },
    "lora.target_modules": ["qv", "mlp", "all-linear"],
    "rank": {**PAIRS, "when": {"lora.target_modules": ["mlp", "all-linear"]}},
    "lora.use_rslora": {"values": [True, False], "when": {"rank": "r16_a32"}},
}


def test_grid_visits_a_conditional_dimension_only_where_it_counts() -> None:
    space = parse(CONDITIONAL)
    cells = space.grid()
    # qv alone; mlp and all-linear with r8, or r16 with and without rsLoRA; three rates.
    assert len(cells) == 1 + 3 + 3 * 3
    assert len({json.dumps(cell, sort_keys=True) for cell in cells}) == len(cells)
    assert space.num_points == len(cells)
    assert {"lora.target_modules": "qv"} in cells
    assert all(space.holds(cell) for cell in cells)
    recipes = [Recipe().with_values(space.values(cell)) for cell in cells]
    assert len({recipe.config_id for recipe in recipes}) == len(cells)
    untouched = next(r for r in recipes if r.lora.target_modules == "qv")
    assert untouched.trainer.learning_rate == Recipe().trainer.learning_rate


def test_corners_look_at_every_value_of_conditional_dimensions() -> None:
    space = parse(CONDITIONAL)
    corners = space.corners()
    assert all(space.holds(corner) for corner in corners)
    for dimension in space.dimensions:
        seen = {corner[dimension.name] for corner in corners if dimension.name in corner}
        assert set(dimension.ends) <= seen


def test_point_with_an_idle_dimension_or_without_an_active_one_is_none() -> None:
    space = parse(CONDITIONAL)
    assert not space.holds({"lora.target_modules": "qv", "rank": "r8_a16"})
    assert not space.holds({"lora.target_modules": "mlp"})
    assert not space.holds({"lora.target_modules": "mlp", "rank": "r99"})


def test_constant_is_set_at_every_point_and_not_searched() -> None:
    space = parse({"lora.lora_alpha": 64, "lora.bias": "none", "lora.r": [4, 8]})
    assert space.keys == ("lora.r",)
    assert space.values({"lora.r": "4"}) == {
        "lora.lora_alpha": 64,
        "lora.bias": "none",
        "lora.r": 4,
    }


def test_base_recipe_is_found_as_a_point_or_said_to_be_outside() -> None:
    base = Recipe().with_values({"lora.target_modules": "mlp", "lora.use_rslora": False})
    space = parse(CONDITIONAL)
    assert point_of(space, base.value_of) == {"lora.target_modules": "mlp", "rank": "r8_a16"}
    other = base.with_values({"lora.lora_alpha": 5})
    with pytest.raises(ConfigError, match=r"`lora.lora_alpha` 5 is not in it"):
        point_of(space, other.value_of)


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ({}, 1),
        ({"lora.r": {"low": 4, "high": 9}}, 6),
        ({"lora.r": {"low": 4, "high": 64, "log": True}, "lora.bias": ["none", "all"]}, 122),
        ({"trainer.learning_rate": {"low": 1e-4, "high": 1e-3}, "lora.r": [4]}, None),
        ({"lora.lora_dropout": {"low": 0.0, "high": 0.3, "step": 0.1}, "rank": PAIRS}, 8),
    ],
)
def test_points_of_a_space_are_counted_where_they_are_finite(
    content: dict[str, Any], count: int | None
) -> None:
    assert parse(content).num_points == count
