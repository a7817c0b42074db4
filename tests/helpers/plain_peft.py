"""What one would write by hand with PEFT and the `Trainer`, and a pack held against it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import (
    EvaConfig,
    LoraConfig,
    PeftModel,
    get_peft_model,
    initialize_lora_eva_weights,
)
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.lora.eva import prepare_layer_inputs_fn_language_modeling
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    TrainingArguments,
    set_seed,
)
from transformers import Trainer as HfTrainer

from packs import adapter_of, predictions_of, presets_of
from same_masks import SameMasks
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split, tokenized
from sweep.lora.model import targets_of

Collate = Callable[[list[Any]], Any]


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
        eva_config=EvaConfig(rho=1.0) if lora.init_lora_weights == "eva" else None,
        rank_pattern=dict(lora.rank_pattern or {}),
        alpha_pattern=dict(lora.alpha_pattern or {}),
        # Beside `classifier` and `score`, which PEFT takes unasked.
        modules_to_save=[*targets_of(recipe.model, lora).head, *lora.modules_to_save],
    )
    with warnings.catch_warnings():
        # Of memory that EVA could spare.
        warnings.filterwarnings("ignore", "lora with eva")
        model = get_peft_model(base, config)
    collate = DataCollatorWithPadding(tokenizer)
    if lora.init_lora_weights == "eva":
        begin_by_eva(model, recipe, data["train"], longest_first(collate))
    if masks is not None:
        masks.take_part(model)
    args = plain_arguments(recipe, folder)
    lora_plus = None
    if lora.lr_ratio != 1:
        lora_plus = create_loraplus_optimizer(
            model,
            torch.optim.AdamW,
            lr=args.learning_rate,
            loraplus_lr_ratio=lora.lr_ratio,
            loraplus_weight_decay=args.weight_decay,
        )
    trainer = HfTrainer(
        model=model,
        args=args,
        optimizers=(lora_plus, None),
        train_dataset=data["train"],
        eval_dataset=data["dev"],
        data_collator=longest_first(collate) if same_masks else collate,
    )
    trainer.train()
    trainer.data_collator = collate
    return trainer.predict(data["dev"]), model


def begin_by_eva(model: PeftModel, recipe: Recipe, rows: Any, collate: Collate) -> None:
    """PEFT's own start on eight batches of train, which the seed draws."""
    size = max(recipe.trainer.per_device_train_batch_size, 2 * recipe.lora.r)
    drawn = np.random.default_rng(recipe.seed).permutation(len(rows))[: 8 * size]
    batches = DataLoader(
        rows.remove_columns("labels").select(drawn),
        batch_size=size,
        collate_fn=lambda rows: dict(collate(rows)),
        drop_last=True,
    )
    assert len(batches) > 1
    initialize_lora_eva_weights(
        model, batches, prepare_layer_inputs_fn=_of_tokens, show_progress_bar=False
    )


def _of_tokens(given: Any, places: Any, name: str) -> Any:
    """As PEFT's own; of a pooler, which PEFT's can't take, one row a sequence."""
    x = given if torch.is_tensor(given) else given[0]
    if x.dim() == 2:
        return x.contiguous()
    return prepare_layer_inputs_fn_language_modeling(given, places, name)


def plain_arguments(recipe: Recipe, folder: Path, **more: Any) -> TrainingArguments:
    """The same training, as one would write it by hand."""
    trainer = recipe.trainer
    return TrainingArguments(
        output_dir=str(folder),
        learning_rate=trainer.learning_rate,
        max_steps=trainer.max_steps,
        per_device_train_batch_size=trainer.per_device_train_batch_size,
        weight_decay=trainer.weight_decay,
        max_grad_norm=trainer.max_grad_norm,
        gradient_accumulation_steps=trainer.gradient_accumulation_steps,
        warmup_steps=trainer.warmup_steps,
        optim="adamw_torch",
        seed=recipe.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **more,
    )


def longest_first(collate: Collate) -> Collate:
    return lambda rows: collate(sorted(rows, key=lambda row: -len(row["input_ids"])))


def assert_equal_to_plain(
    recipe: Recipe,
    runs_dir: Path,
    folder: Path,
    *,
    same_masks: bool = False,
    weights_within: float = 1e-4,
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
        assert (found[name] - weights[name]).abs().max() < weights_within, name


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


def with_lora_dropout(recipes: Sequence[Recipe]) -> list[Recipe]:
    """At unlike rates, one of them 0."""
    rates = itertools.cycle((0.1, 0.0, 0.3))
    return [
        replace(one, lora=replace(one.lora, lora_dropout=rate))
        for one, rate in zip(recipes, rates, strict=False)
    ]
