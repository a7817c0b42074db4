"""A pack equals plain PEFT + `Trainer`, run by run: predictions and every trained weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from transformers import AutoTokenizer, BertModel

from packs import FAMILIES, MIXED, adapter_of, tiny, train, train_together
from plain_peft import assert_equal_to_plain, unlike, with_lora_dropout
from sweep.config.compose import load_settings
from sweep.core.recipe import Model, Recipe
from sweep.lora.model import locate
from sweep.lora.packable import pack_key, why_alone

pytestmark = pytest.mark.trains


@pytest.fixture
def recipe(recipe: Recipe, tmp_path: Path) -> Recipe:
    """The usual one on pairs so unlike in length that attention works in several blocks."""
    files = {}
    for split in ("train", "dev"):
        pairs = pd.read_csv(getattr(recipe.data, split))
        for column in ("sentence1", "sentence2"):
            pairs.loc[::4, column] = pairs.loc[::4, column] + 7 * (" " + pairs.loc[::4, column])
        files[split] = str(tmp_path / f"{split}.csv")
        pairs.to_csv(files[split], index=False)
    return replace(recipe, data=replace(recipe.data, **files, max_length=56))


def widest(recipes: Sequence[Recipe]) -> Sequence[Recipe]:
    """Of `unlike`, those with the most layers: enough where another case compares all four."""
    return recipes[1:3]


@pytest.mark.parametrize("family", FAMILIES)
def test_pack_of_unlike_runs_equals_plain_peft_and_trainer_run_by_run(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    # One evaluation, at the end: the kept adapter is then the last one.
    same = replace(recipe, model=tiny(family, tiny_model, tmp_path / "model"))
    recipes = unlike(same)
    outcomes = train_together(recipes, tmp_path / "ours")
    assert [outcome.pack_size for outcome in outcomes] == [4] * 4
    for number, one in enumerate(recipes):
        assert_equal_to_plain(one, tmp_path / "ours", tmp_path / f"plain-{number}")


@pytest.mark.parametrize("family", FAMILIES)
def test_pack_with_dropout_equals_plain_peft_and_trainer_with_the_same_masks(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model", dropout=0.2)
    recipes = with_lora_dropout(unlike(replace(recipe, model=model)))
    train_together(recipes, tmp_path / "ours")
    for number, one in enumerate(widest(recipes)):
        folder = tmp_path / f"plain-{number}"
        assert_equal_to_plain(one, tmp_path / "ours", folder, same_masks=True)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("family", MIXED)
def test_base_whose_layers_see_more_than_rows_trains_alone_as_in_plain_peft(
    family: str, dropout: float, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model", dropout=dropout)
    recipes = unlike(replace(recipe, model=model))
    recipes = with_lora_dropout(recipes) if dropout else recipes
    assert len({pack_key(one) for one in recipes}) == 4
    for number, one in enumerate(widest(recipes)):
        assert train(one, tmp_path / "ours").pack_size == 1
        folder = tmp_path / f"plain-{number}"
        assert_equal_to_plain(one, tmp_path / "ours", folder, same_masks=bool(dropout))


def test_pack_on_minilm_equals_plain_peft_and_trainer_with_the_same_masks(
    recipe: Recipe, tmp_path: Path
) -> None:
    minilm = load_settings([])[0]
    folder = tmp_path / "minilm"
    located = locate(minilm.model.path)
    BertModel.from_pretrained(located).save_pretrained(folder)
    AutoTokenizer.from_pretrained(located).save_pretrained(folder)
    data = replace(minilm.data, max_train_rows=48, max_dev_rows=24)
    recipes = with_lora_dropout(unlike(replace(recipe, model=Model(path=str(folder)), data=data)))
    recipes = [
        replace(one, trainer=replace(one.trainer, max_steps=3, eval_steps=3)) for one in recipes
    ]
    train_together(recipes, tmp_path / "ours")
    for number, one in enumerate(widest(recipes)):
        plain = tmp_path / f"plain-{number}"
        assert_equal_to_plain(one, tmp_path / "ours", plain, same_masks=True)


def test_accumulated_steps_equal_plain_ones(
    recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    same = replace(recipe, model=tiny("bert", tiny_model, tmp_path / "model"))
    recipes = [
        replace(one, trainer=replace(one.trainer, gradient_accumulation_steps=2))
        for one in unlike(same)[:2]
    ]
    train_together(recipes, tmp_path / "ours")
    for number, one in enumerate(recipes):
        assert_equal_to_plain(one, tmp_path / "ours", tmp_path / f"plain-{number}")


ALONE: dict[str, dict[str, Any]] = {
    "bias": {"bias": "lora_only"},
    "mica": {"init_lora_weights": "mica"},
    "pissa with biases": {"init_lora_weights": "pissa", "bias": "lora_only"},
}


@pytest.mark.parametrize("kind", ALONE)
def test_what_can_not_be_packed_trains_alone_as_in_plain_peft(
    kind: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    plain = replace(
        recipe,
        model=tiny("bert", tiny_model, tmp_path / "model"),
        lora=replace(recipe.lora, lora_dropout=0.0),
        trainer=replace(recipe.trainer, eval_steps=6),
    )
    lone = replace(plain, lora=replace(plain.lora, **ALONE[kind]))
    assert why_alone(lone) is not None
    assert pack_key(lone) != pack_key(plain)
    train(lone, tmp_path / "ours")
    assert_equal_to_plain(lone, tmp_path / "ours", tmp_path / "plain-lone")
    # The base that it was lent is as it was.
    train(plain, tmp_path / "ours")
    assert_equal_to_plain(plain, tmp_path / "ours", tmp_path / "plain")


@pytest.mark.parametrize("layers", [1, (0,), (1, 0), None])
def test_numbered_blocks_alone_are_trained_and_counted(
    layers: int | tuple[int, ...] | None, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    same = replace(recipe, model=tiny("bert", tiny_model, tmp_path / "model"))
    lora = replace(recipe.lora, lora_dropout=0.0, layers_to_transform=layers)
    one = replace(same, lora=lora, trainer=replace(recipe.trainer, eval_steps=6))
    other = replace(one, lora=recipe.lora)
    outcome, _ = train_together([one, other], tmp_path / "ours")
    blocks = {1: {"1"}, (0,): {"0"}}.get(layers, {"0", "1"})
    names = [name for name in adapter_of(one, tmp_path / "ours") if "lora_A" in name]
    assert {name.split(".layer.")[1][0] for name in names} == blocks
    assert outcome.adapted_modules == len(names) == 2 * len(blocks)
    assert outcome.lora_params == 2 * len(blocks) * 4 * (32 + 32)
    assert_equal_to_plain(one, tmp_path / "ours", tmp_path / "plain")
