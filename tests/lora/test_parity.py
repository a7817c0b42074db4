"""A pack equals plain PEFT + `Trainer`, run by run: predictions and every trained weight."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertModel,
    DataCollatorWithPadding,
    TrainingArguments,
    set_seed,
)
from transformers import Trainer as HfTrainer

from packs import (
    FAMILIES,
    MIXED,
    adapter_of,
    predictions_of,
    presets_of,
    tiny,
    train,
    train_together,
)
from same_masks import SameMasks
from sweep.config.compose import load_settings
from sweep.core.recipe import Model, Recipe
from sweep.data.pairs import load_split, tokenized
from sweep.lora.model import locate, targets_of
from sweep.lora.packable import pack_key, why_alone

pytestmark = pytest.mark.trains

Collate = Callable[[list[Any]], Any]


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


def plain_peft_and_trainer(
    recipe: Recipe, folder: Path, *, same_masks: bool = False
) -> tuple[Any, PeftModel]:
    """What a practitioner would write by hand for the same recipe.

    With `same_masks` dropout takes a pack's masks, which are for rows that are sorted by length.
    """
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.path)
    splits = {s: load_split(recipe.data, s) for s in ("train", "dev")}  # type: ignore[arg-type]
    data = {s: tokenized(p, tokenizer, recipe.data) for s, p in splits.items()}
    set_seed(recipe.seed)
    base = AutoModelForSequenceClassification.from_pretrained(
        recipe.model.path, num_labels=1, problem_type="regression"
    )
    masks = SameMasks(base, tokenizer, seed=recipe.seed) if same_masks else None
    lora = recipe.lora
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=lora.r,
        lora_alpha=int(lora.lora_alpha),
        lora_dropout=lora.lora_dropout,
        target_modules=targets_of(recipe.model, lora).names,
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        bias=lora.bias,
        init_lora_weights=lora.init_lora_weights,
        # Beside `classifier` and `score`, which PEFT takes unasked.
        modules_to_save=list(targets_of(recipe.model, recipe.lora).head),
    )
    model = get_peft_model(base, config)
    collate = DataCollatorWithPadding(tokenizer)
    if masks is not None:
        masks.take_part(model)
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=recipe.trainer.learning_rate,
        max_steps=recipe.trainer.max_steps,
        per_device_train_batch_size=recipe.trainer.per_device_train_batch_size,
        weight_decay=recipe.trainer.weight_decay,
        max_grad_norm=recipe.trainer.max_grad_norm,
        gradient_accumulation_steps=recipe.trainer.gradient_accumulation_steps,
        warmup_steps=recipe.trainer.warmup_steps,
        optim="adamw_torch",
        seed=recipe.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )

    trainer = HfTrainer(
        model=model,
        args=args,
        train_dataset=data["train"],
        eval_dataset=data["dev"],
        data_collator=longest_first(collate) if same_masks else collate,
    )
    trainer.train()
    trainer.data_collator = collate
    return trainer.predict(data["dev"]), model


def longest_first(collate: Collate) -> Collate:
    return lambda rows: collate(sorted(rows, key=lambda row: -len(row["input_ids"])))


def unlike(recipe: Recipe) -> list[Recipe]:
    """Four runs of one pack that differ in all that is a run's own; without LoRA dropout."""
    qv, attention, everything = presets_of(recipe)
    lora = replace(recipe.lora, lora_dropout=0.0)
    trainer = replace(recipe.trainer, eval_steps=6)
    configs = [
        (replace(lora, r=2, target_modules=qv), replace(trainer, learning_rate=5e-3)),
        (
            replace(lora, r=4, target_modules=everything),
            replace(trainer, learning_rate=2e-3, weight_decay=0.1, warmup_steps=3),
        ),
        (
            replace(lora, r=8, target_modules=attention, use_rslora=True),
            replace(trainer, learning_rate=1e-3, max_grad_norm=0.05),
        ),
        (
            replace(lora, r=16, lora_alpha=4, target_modules=qv),
            replace(trainer, learning_rate=1e-2, max_grad_norm=0),
        ),
    ]
    return [replace(recipe, lora=one, trainer=other) for one, other in configs]


def widest(recipes: Sequence[Recipe]) -> Sequence[Recipe]:
    """Of `unlike`, those with the most layers: enough where another case compares all four."""
    return recipes[1:3]


def assert_equal_to_plain(
    recipe: Recipe, runs_dir: Path, folder: Path, *, same_masks: bool = False
) -> None:
    plain, model = plain_peft_and_trainer(recipe, folder, same_masks=same_masks)
    low, high = recipe.data.label_range
    expected = low + (high - low) * plain.predictions.reshape(-1).astype(float)
    assert np.ptp(expected) > 1e-2, "equal predictions for all rows show nothing"
    assert np.allclose(predictions_of(recipe, runs_dir), expected, atol=1e-5 * (high - low))
    model.save_pretrained(str(folder / "saved"))
    found = adapter_of(recipe, runs_dir)
    weights = load_file(folder / "saved" / "adapter_model.safetensors")
    assert found.keys() == weights.keys()
    for name in found:
        assert (found[name] - weights[name]).abs().max() < 1e-4, name


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


def with_lora_dropout(recipes: Sequence[Recipe]) -> list[Recipe]:
    """At unlike rates, one of them 0."""
    rates = itertools.cycle((0.1, 0.0, 0.3))
    return [
        replace(one, lora=replace(one.lora, lora_dropout=rate))
        for one, rate in zip(recipes, rates, strict=False)
    ]


@pytest.mark.parametrize("dropout", [False, True])
def test_pack_on_minilm_equals_plain_peft_and_trainer_run_by_run(
    dropout: bool, recipe: Recipe, tmp_path: Path
) -> None:
    minilm = load_settings([])[0]
    folder = tmp_path / "minilm"
    located = locate(minilm.model.path)
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.from_pretrained(located, **({} if dropout else off))
    BertModel.from_pretrained(located, config=config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(located).save_pretrained(folder)
    data = replace(minilm.data, max_train_rows=48, max_dev_rows=24)
    recipes = unlike(replace(recipe, model=Model(path=str(folder)), data=data))
    recipes = with_lora_dropout(recipes) if dropout else recipes
    recipes = [
        replace(one, trainer=replace(one.trainer, max_steps=3, eval_steps=3)) for one in recipes
    ]
    train_together(recipes, tmp_path / "ours")
    for number, one in enumerate(widest(recipes)):
        plain = tmp_path / f"plain-{number}"
        assert_equal_to_plain(one, tmp_path / "ours", plain, same_masks=dropout)


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
    "dora": {"use_dora": True},
    "bias": {"bias": "lora_only"},
    "pissa": {"init_lora_weights": "pissa"},
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
