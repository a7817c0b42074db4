"""Known good configs: what an entry of `search.start_with` means, and every slip in one."""

from __future__ import annotations

from typing import Any

import pytest

from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.core.space import parse_space
from sweep.core.starting_points import start_point

SPACE = parse_space(
    {
        "rank": {
            "r8_a16": {"lora.r": 8, "lora.lora_alpha": 16},
            "r16_a32": {"lora.r": 16, "lora.lora_alpha": 32},
        },
        "lora.target_modules": ["qv", ["query", "key"]],
        "trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "lora.use_rslora": {"values": [True, False], "when": {"rank": ["r16_a32"]}},
    },
    valid_keys=SEARCHABLE_KEYS,
)
BASE = {"rank": "r8_a16", "lora.target_modules": "qv", "trainer.learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("entry", "changed"),
    [
        ({}, {}),
        ({"trainer.learning_rate": 3e-3}, {"trainer.learning_rate": 3e-3}),
        ({"lora.target_modules": "query+key"}, {"lora.target_modules": "query+key"}),
        ({"lora.target_modules": ["query", "key"]}, {"lora.target_modules": "query+key"}),
        ({"rank": "r16_a32"}, {"rank": "r16_a32", "lora.use_rslora": "false"}),
        (
            {"lora.r": 16, "lora.lora_alpha": 32, "lora.use_rslora": True},
            {"rank": "r16_a32", "lora.use_rslora": "true"},
        ),
    ],
)
def test_entry_names_dimensions_or_keys_and_leaves_the_rest_to_the_base(
    entry: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert start_point(entry, SPACE, Recipe()) == {**BASE, **changed}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"rnak": "r8_a16"}, "did you mean `rank`"),
        ({"rank": "r4"}, "one of: r8_a16, r16_a32"),
        ({"lora.r": 16}, "`lora.lora_alpha` 16 is not in it"),
        ({"trainer.learning_rate": 1.0}, "`trainer.learning_rate` 1.0 is not in it"),
        ({"trainer.weight_decay": 0.1}, "trainer.weight_decay=0.1"),
        ({"lora.use_rslora": True}, "does not count beside"),
    ],
)
def test_slip_in_an_entry_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        start_point(entry, SPACE, Recipe())
    assert said in str(caught.value)
