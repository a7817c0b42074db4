"""Recipes: identity, copies, ranges."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest

from sweep.core.errors import ConfigError
from sweep.core.fingerprint import fingerprint
from sweep.core.ranges import check_ranges
from sweep.core.recipe import Data, Lora, Recipe, Trainer


def test_runs_of_one_config_share_its_id() -> None:
    first, second = Recipe(seed=0), Recipe(seed=1)
    assert first.config_id == second.config_id
    assert first.run_id != second.run_id


def test_identity_is_the_same_in_another_process() -> None:
    code = "from sweep.core.recipe import Recipe; print(Recipe().config_id)"
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert there == Recipe().config_id


@pytest.mark.parametrize("key", ["lora.r", "trainer.learning_rate", "data.max_length"])
def test_every_change_of_a_value_is_another_config(key: str) -> None:
    base = Recipe()
    assert base.with_values({key: base.value_of(key) * 2}).config_id != base.config_id


def test_whole_floats_and_lists_do_not_change_the_identity() -> None:
    assert fingerprint({"a": 16.0, "b": (1, 2)}) == fingerprint({"b": [1, 2], "a": 16})


def test_a_value_without_identity_is_refused() -> None:
    with pytest.raises(TypeError):
        fingerprint({"a": object()})


def test_recipe_survives_json() -> None:
    recipe = Recipe(lora=Lora(target_modules=("query", "value")), data=Data(text_a="문장"), seed=3)
    again = Recipe.from_dict(json.loads(json.dumps(dataclasses.asdict(recipe))))
    assert again == recipe
    assert again.config_id == recipe.config_id


def test_unknown_key_is_not_set() -> None:
    with pytest.raises(KeyError):
        Recipe().with_values({"lora.rank": 8})


def test_scaling_is_alpha_over_r_or_its_root() -> None:
    assert Lora(r=16, lora_alpha=32).scaling == 2
    assert Lora(r=16, lora_alpha=32, use_rslora=True).scaling == 8


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lora.r", 0),
        ("lora.r", -4),
        ("lora.lora_alpha", 0),
        ("lora.lora_alpha", -1.0),
        ("lora.lora_dropout", 1.0),
        ("lora.lora_dropout", -0.1),
        ("lora.init_lora_weights", "pissa_niter_4"),
        ("lora.init_lora_weights", "corda"),
        ("lora.init_lora_weights", "loftq"),
        ("lora.init_lora_weights", "lora_ga"),
        ("lora.init_lora_weights", "gausian"),
        ("trainer.learning_rate", 0.0),
        ("trainer.per_device_train_batch_size", 0),
        ("trainer.max_steps", 0),
        ("data.label_range", (5.0, 0.0)),
    ],
)
def test_value_out_of_range_is_refused_by_name(key: str, value: Any) -> None:
    recipe = Recipe().with_values({"model.path": "x", key: value})
    with pytest.raises(ConfigError, match=key):
        check_ranges(recipe)


def test_evaluation_by_steps_needs_a_number_of_steps() -> None:
    recipe = dataclasses.replace(
        Recipe().with_values({"model.path": "x"}), trainer=Trainer(eval_strategy="steps")
    )
    with pytest.raises(ConfigError, match="eval_steps"):
        check_ranges(recipe)


def test_alpha_that_gives_the_same_scaling_with_rslora_is_the_same_config() -> None:
    plain = Recipe(lora=Lora(r=16, lora_alpha=32))
    same = Recipe(lora=Lora(r=16, lora_alpha=8, use_rslora=True))
    other = Recipe(lora=Lora(r=16, lora_alpha=32, use_rslora=True))
    assert plain.lora.scaling == same.lora.scaling
    assert plain.config_id == same.config_id != other.config_id
