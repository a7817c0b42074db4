"""LoRA's relatives in packs: each equals PEFT's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packs import adapter_of, tiny, train_together
from plain_peft import assert_equal_to_plain, unlike, with_lora_dropout
from sweep.core.errors import ConfigError
from sweep.core.recipe import Lora, Recipe
from sweep.lora.eva import check_eva
from sweep.lora.model import targets_in
from sweep.lora.packable import layers_of, pack_key, why_alone
from sweep.lora.patterns import layer_ranks

pytestmark = pytest.mark.trains


def assert_pack_equals_peft(
    recipes: list[Recipe], folder: Path, *, same_masks: bool = False, weights_within: float = 1e-4
) -> None:
    """Train them together and hold each against plain PEFT."""
    outcomes = train_together(recipes, folder / "ours")
    assert [outcome.pack_size for outcome in outcomes] == [len(recipes)] * len(recipes)
    for number, one in enumerate(recipes):
        plain = folder / f"plain-{number}"
        assert_equal_to_plain(
            one, folder / "ours", plain, same_masks=same_masks, weights_within=weights_within
        )


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


@pytest.mark.parametrize(("family", "dropout"), [("bert", 0.0), ("bert", 0.2), ("llama", 0.0)])
def test_pack_of_pissa_and_olora_equals_peft(
    family: str, dropout: float, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model", dropout=dropout)
    recipes = unlike(replace(recipe, model=model))[:3]
    recipes = with_lora_dropout(recipes) if dropout else recipes
    starts = ("pissa", "olora", "pissa")
    recipes = [
        replace(one, lora=replace(one.lora, init_lora_weights=start))
        for one, start in zip(recipes, starts, strict=True)
    ]
    assert_pack_equals_peft(recipes, tmp_path, same_masks=dropout > 0)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_pack_with_eva_starts_equals_peft(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model")
    # The third begins as LoRA does, in the same pack.
    recipes = [
        replace(one, lora=replace(one.lora, init_lora_weights="eva" if number < 2 else True))
        for number, one in enumerate(unlike(replace(recipe, model=model))[:3])
    ]
    assert len({pack_key(one) for one in recipes}) == 1
    # Directions along which inputs vary alike are told apart by rounding; predictions are not.
    assert_pack_equals_peft(recipes, tmp_path, weights_within=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"r": 17}, "at most half of a layer's inputs"),
        ({"rank_pattern": {"query": 2}}, "one rank for all layers"),
    ],
)
def test_eva_is_refused_where_peft_could_not_give_it(
    changes: dict[str, Any], said: str, recipe: Recipe
) -> None:
    lora = replace(recipe.lora, init_lora_weights="eva", **changes)
    with pytest.raises(ConfigError, match=said):
        check_eva(targets_in(recipe), lora)


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


def test_pack_with_ranks_and_alphas_of_single_layers_equals_peft(
    recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    same = replace(recipe, model=tiny("bert", tiny_model, tmp_path / "model"))
    patterns = (
        {"rank_pattern": {"query": 4}, "alpha_pattern": {"layer.1.attention.self.value": 3}},
        {"rank_pattern": {r"encoder\.layer\.0\..*dense": 1}},
        {"alpha_pattern": {"key": 1.5}, "rank_pattern": {"key": 3}},
    )
    recipes = [
        replace(one, lora=replace(one.lora, **own))
        for one, own in zip(unlike(same), patterns, strict=False)
    ]
    assert len({pack_key(one) for one in recipes}) == 1
    assert_pack_equals_peft(recipes, tmp_path)
    for one in recipes:
        counted = sum(
            t.numel() for n, t in adapter_of(one, tmp_path / "ours").items() if "lora_" in n
        )
        targets = targets_in(one)
        assert targets.lora_params(layer_ranks(targets, one.lora)) == counted


def test_modules_that_are_trained_in_full_equal_peft(
    recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny("bert", tiny_model, tmp_path / "model")
    lora = replace(unlike(replace(recipe, model=model))[0].lora, modules_to_save=("LayerNorm",))
    one = replace(recipe, model=model, lora=lora)
    assert why_alone(one) == "lora.modules_to_save"
    assert_pack_equals_peft([one], tmp_path)
    assert any("embeddings.LayerNorm" in name for name in adapter_of(one, tmp_path / "ours"))


def test_kinds_of_layers_share_no_pack(recipe: Recipe) -> None:
    dora = replace(recipe, lora=replace(recipe.lora, use_dora=True))
    pissa = replace(recipe, lora=replace(recipe.lora, init_lora_weights="pissa"))
    with pytest.raises(ValueError, match="all be of one kind"):
        layers_of([recipe, dora])
    assert len({pack_key(dora), pack_key(recipe), pack_key(pissa)}) == 3
    olora = replace(recipe, lora=replace(recipe.lora, init_lora_weights="olora"))
    assert pack_key(pissa) == pack_key(olora)
    assert "pissa" in str(why_alone(replace(pissa, lora=replace(pissa.lora, use_dora=True))))
    assert pack_key(dora) == pack_key(replace(dora, lora=replace(dora.lora, r=2)))


def test_ratio_of_one_leaves_a_config_the_id_that_it_had(recipe: Recipe) -> None:
    assert replace(recipe, lora=replace(recipe.lora, lr_ratio=1.0)).config_id == recipe.config_id
    assert replace(recipe, lora=replace(recipe.lora, lr_ratio=4.0)).config_id != recipe.config_id
    # As it was before there was the key.
    assert Recipe(lora=Lora()).config_id == "26794900cafc"
