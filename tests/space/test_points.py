"""Values that a user writes are a point of the space, or are refused with what would be one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.space.points import point_of
from sweep.space.space import Params, Space, parse_space


def parse(content: dict[str, Any]) -> Space:
    return parse_space(content, valid_keys=SEARCHABLE_KEYS)


SPACE = parse(
    {
        "rank": {
            "r8_a16": {"lora.r": 8, "lora.lora_alpha": 16},
            "r8_a8": {"lora.r": 8, "lora.lora_alpha": 8},
            "r16_a32": {"lora.r": 16, "lora.lora_alpha": 32},
        },
        "lora.target_modules": ["qv", ["query", "key"]],
        "lora.lora_dropout": [0.0, 0.1],
        "trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "trainer.max_steps": {"low": 10, "high": 50, "step": 10},
        "lora.use_rslora": {"values": [True, False], "when": {"rank": ["r16_a32"]}},
    }
)
BASE = Recipe().with_values({"trainer.max_steps": 20})
DEFAULT: Params = {
    "rank": "r8_a16",
    "lora.target_modules": "qv",
    "lora.lora_dropout": "0.1",
    "trainer.learning_rate": 1e-3,
    "trainer.max_steps": 20,
}
WIDE: Params = {"rank": "r16_a32", "lora.use_rslora": "false"}


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({}, {}),
        ({"rank": "r16_a32"}, WIDE),
        ({"lora.r": 16}, WIDE),
        ({"lora.r": 16, "lora.lora_alpha": 32}, WIDE),
        ({"lora.r": 16, "lora.use_rslora": True}, WIDE | {"lora.use_rslora": "true"}),
        ({"rank": "r16_a32", "lora.use_rslora": "true"}, WIDE | {"lora.use_rslora": "true"}),
        ({"rank": "r8_a8", "lora.r": 8}, {"rank": "r8_a8"}),
        ({"lora.lora_alpha": 8.0}, {"rank": "r8_a8"}),
        ({"lora.r": 8}, {}),
        ({"lora.target_modules": ["query", "key"]}, {"lora.target_modules": "query+key"}),
        ({"lora.target_modules": "query+key"}, {"lora.target_modules": "query+key"}),
        ({"lora.lora_dropout": 0}, {"lora.lora_dropout": "0.0"}),
        ({"trainer.learning_rate": 3e-3}, {"trainer.learning_rate": 3e-3}),
        ({"trainer.learning_rate": "2e-3"}, {"trainer.learning_rate": 2e-3}),
        ({"trainer.max_steps": 50}, {"trainer.max_steps": 50}),
        ({"trainer.max_steps": "50.0"}, {"trainer.max_steps": 50}),
    ],
)
def test_values_name_a_point_and_the_base_fills_in_the_rest(
    values: dict[str, Any], changed: Params
) -> None:
    point = point_of(SPACE, BASE.value_of, values)
    assert point == DEFAULT | changed
    assert list(map(type, point.values())) == [type((DEFAULT | WIDE)[name]) for name in point]
    assert SPACE.holds(point)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rnak": "r8_a16"}, "did you mean `rank`"),
        ({"rank": "r4"}, "one of: r8_a16 (lora.r=8 lora.lora_alpha=16), r8_a8"),
        ({"rank": 8}, "`rank` 8 is not in it"),
        ({"lora.r": 16, "lora.lora_alpha": 8}, "`lora.r` 16, `lora.lora_alpha` 8 is not in it"),
        ({"rank": "r8_a16", "lora.r": 16}, "`rank` r8_a16, `lora.r` 16 is not in it"),
        ({"lora.target_modules": "mlp"}, "one of: qv, query+key"),
        ({"lora.lora_dropout": True}, "`lora.lora_dropout` true is not in it"),
        ({"trainer.learning_rate": 1.0}, "`trainer.learning_rate` 1.0 is not in it"),
        ({"trainer.learning_rate": "fast"}, "from 0.0001 to 0.01"),
        ({"trainer.learning_rate": "nan"}, "from 0.0001 to 0.01"),
        ({"trainer.learning_rate": True}, "from 0.0001 to 0.01"),
        ({"trainer.learning_rate": None}, "from 0.0001 to 0.01"),
        ({"trainer.max_steps": 15}, "in steps of 10"),
        (
            {"trainer.weight_decay": 0.1},
            "searched are rank, lora.target_modules, lora.lora_dropout",
        ),
        ({"trainer.weight_decay": 0.1}, "`trainer.weight_decay=0.1` sets it for a whole sweep"),
        ({"lora.use_rslora": True}, "does not count beside"),
    ],
)
def test_what_the_space_does_not_hold_is_refused_with_what_it_holds(
    values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        point_of(SPACE, BASE.value_of, values, subject="A config of mine")
    assert said in str(refused.value)
    assert refused.value.rule.startswith("A config of mine must ")


@pytest.mark.parametrize("values", [{}, {"lora.lora_dropout": 0.0}])
def test_base_outside_of_the_space_is_refused_where_nothing_else_is_given(
    values: dict[str, Any],
) -> None:
    base = BASE.with_values({"lora.lora_alpha": 5})
    with pytest.raises(ConfigError, match=r"`lora\.r` 8, `lora\.lora_alpha` 5 is not in it"):
        point_of(SPACE, base.value_of, values)
    assert point_of(SPACE, base.value_of, {**values, "rank": "r8_a8"})["rank"] == "r8_a8"


def test_key_of_several_labels_needs_a_base_that_decides() -> None:
    base = BASE.with_values({"lora.lora_alpha": 5})
    with pytest.raises(ConfigError, match=r"`lora\.lora_alpha` 5 is not in it"):
        point_of(SPACE, base.value_of, {"lora.r": 8})


def test_space_without_dimensions_searches_nothing() -> None:
    assert point_of(parse({}), BASE.value_of) == {}
    with pytest.raises(ConfigError, match=r"searched are none; `lora\.r=8` sets it"):
        point_of(parse({}), BASE.value_of, {"lora.r": 8})


@given(st.data(), st.sampled_from([4e-4, 1e-3]), st.booleans())
def test_every_point_is_found_by_its_labels_and_by_its_values(
    data: st.DataObject, rate: float, by_values: bool
) -> None:
    labels = {d.name: st.sampled_from(d.ends) for d in SPACE.dimensions}
    drawn = data.draw(st.fixed_dictionaries(labels)) | {"trainer.learning_rate": rate}
    if drawn["rank"] != "r16_a32":
        del drawn["lora.use_rslora"]
    values = SPACE.values(drawn) if by_values else drawn
    assert point_of(SPACE, BASE.value_of, values) == drawn
