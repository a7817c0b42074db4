"""LoRA's relatives in packs: each equals PEFT's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from packs import tiny, train_together
from plain_peft import assert_equal_to_plain, unlike, with_lora_dropout
from sweep.core.recipe import Lora, Recipe
from sweep.lora.packable import is_dora, pack_key

pytestmark = pytest.mark.trains


def assert_pack_equals_peft(
    recipes: list[Recipe], folder: Path, *, same_masks: bool = False
) -> None:
    """Train them together and hold each against plain PEFT."""
    outcomes = train_together(recipes, folder / "ours")
    assert [outcome.pack_size for outcome in outcomes] == [len(recipes)] * len(recipes)
    for number, one in enumerate(recipes):
        plain = folder / f"plain-{number}"
        assert_equal_to_plain(one, folder / "ours", plain, same_masks=same_masks)


@pytest.mark.parametrize("family", ["bert", "modernbert", "llama"])
def test_pack_of_dora_equals_peft(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    same = replace(recipe, model=tiny(family, tiny_model, tmp_path / "model"))
    recipes = [replace(one, lora=replace(one.lora, use_dora=True)) for one in unlike(same)]
    assert_pack_equals_peft(recipes[:3], tmp_path)


def test_pack_of_dora_with_dropout_equals_peft_with_the_same_masks(
    recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny("bert", tiny_model, tmp_path / "model", dropout=0.2)
    recipes = with_lora_dropout(unlike(replace(recipe, model=model)))
    recipes = [replace(one, lora=replace(one.lora, use_dora=True)) for one in recipes]
    assert_pack_equals_peft(recipes[:3], tmp_path, same_masks=True)


def test_pack_of_lora_plus_equals_pefts_optimizer(
    recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    same = replace(recipe, model=tiny("bert", tiny_model, tmp_path / "model"))
    ratios = (1.0, 4.0, 16.0)
    recipes = [
        replace(one, lora=replace(one.lora, lr_ratio=ratio))
        for one, ratio in zip(unlike(same), ratios, strict=False)
    ]
    assert_pack_equals_peft(recipes, tmp_path)


def test_dora_and_lora_share_no_pack(recipe: Recipe) -> None:
    dora = replace(recipe, lora=replace(recipe.lora, use_dora=True))
    with pytest.raises(ValueError, match="all be DoRA, or none"):
        is_dora([recipe, dora])
    assert pack_key(dora) != pack_key(recipe)
    assert pack_key(dora) == pack_key(replace(dora, lora=replace(dora.lora, r=2)))


def test_ratio_of_one_leaves_a_config_the_id_that_it_had(recipe: Recipe) -> None:
    assert replace(recipe, lora=replace(recipe.lora, lr_ratio=1.0)).config_id == recipe.config_id
    assert replace(recipe, lora=replace(recipe.lora, lr_ratio=4.0)).config_id != recipe.config_id
    # As it was before there was the key.
    assert Recipe(lora=Lora()).config_id == "26794900cafc"
