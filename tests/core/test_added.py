"""A config added by hand is a point of the study's space, or is refused with what is valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweep.core.added import add_point, added_points, point_of
from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.core.space import parse_space

SPACE = parse_space(
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
    },
    valid_keys=SEARCHABLE_KEYS,
)
BASE = {key: Recipe().value_of(key) for key in SEARCHABLE_KEYS} | {"trainer.max_steps": 20}
DEFAULT = {
    "rank": "r8_a16",
    "lora.target_modules": "qv",
    "lora.lora_dropout": "0.1",
    "trainer.learning_rate": 1e-3,
    "trainer.max_steps": 20,
}


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"lora.r": 16}, {"rank": "r16_a32"}),
        ({"lora.lora_alpha": 8.0}, {"rank": "r8_a8"}),
        ({"rank": "r16_a32"}, {"rank": "r16_a32"}),
        ({"lora.target_modules": ["query", "key"]}, {"lora.target_modules": "query+key"}),
        ({"lora.lora_dropout": 0}, {"lora.lora_dropout": "0.0"}),
        ({"trainer.learning_rate": "2e-3"}, {"trainer.learning_rate": 2e-3}),
        ({"trainer.max_steps": 50}, {"trainer.max_steps": 50}),
    ],
)
def test_values_name_a_point_and_the_study_fills_in_the_rest(
    given: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert point_of(SPACE, given, BASE) == DEFAULT | changed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lora.r": 16, "lora.lora_alpha": 8}, "r16_a32 (lora.r=16 lora.lora_alpha=32)"),
        ({"rank": "r64"}, "valid: r8_a16"),
        ({"lora.target_modules": "mlp"}, "valid: qv, query+key"),
        ({"trainer.learning_rate": 1.0}, "from 0.0001 to 0.01"),
        ({"trainer.learning_rate": "fast"}, "from 0.0001 to 0.01"),
        ({"trainer.max_steps": 15}, "in steps of 10"),
        ({"trainer.weight_decay": 0.1}, "searched are lora.lora_alpha"),
    ],
)
def test_what_the_space_does_not_hold_is_refused_with_what_it_holds(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        point_of(SPACE, given, BASE)
    assert said in str(refused.value)


def test_notes_are_read_once_each_and_a_second_one_is_the_same(tmp_path: Path) -> None:
    assert added_points(tmp_path) == []
    add_point(tmp_path, {"기본": "가"})
    add_point(tmp_path, {"기본": "가"})
    ((note, point),) = added_points(tmp_path)
    assert point == {"기본": "가"}
    note.unlink()
    assert added_points(tmp_path) == []
