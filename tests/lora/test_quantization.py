"""A quantized base in packs: equal to PEFT with bitsandbytes or torchao alone, and small."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    DataCollatorWithPadding,
    TorchAoConfig,
    set_seed,
)
from transformers import Trainer as HfTrainer

from packs import adapter_of, predictions_of, tiny, train_together
from plain_peft import plain_arguments
from quantizers import each_kind
from sweep.core.errors import ModelError
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split, tokenized
from sweep.lora.model import load_base, load_tokenizer, targets_in
from sweep.lora.pack import Base
from sweep.lora.packable import pack_key
from sweep.lora.quantization import PACKAGES, check_quantization, num_bytes


def quantized(recipe: Recipe, kind: Any) -> Recipe:
    return replace(recipe, model=replace(recipe.model, quantization=kind))


def options(kind: str) -> Any:
    """What a practitioner asks transformers for."""
    if kind == "nf4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            llm_int8_skip_modules=["classifier"],
        )
    from torchao.quantization import Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=["classifier"])


def plain(recipe: Recipe, folder: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """PEFT and `Trainer` on a base that transformers has quantized: predictions, weights."""
    kind = recipe.model.quantization
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.path)
    train, dev = (
        tokenized(load_split(recipe.data, split), tokenizer, recipe.data)
        for split in ("train", "dev")
    )
    set_seed(recipe.seed)
    base = AutoModelForSequenceClassification.from_pretrained(
        recipe.model.path,
        num_labels=1,
        problem_type="regression",
        quantization_config=options(kind),
        device_map="cpu",
    )
    words = base.get_input_embeddings().weight
    words.data = words.data.bfloat16().float()
    lora = recipe.lora
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=lora.r,
        lora_alpha=int(lora.lora_alpha),
        lora_dropout=0.0,
        target_modules=targets_in(recipe).names,
        use_dora=lora.use_dora,
    )
    model = get_peft_model(base, config)
    args = plain_arguments(recipe, folder)
    collate = DataCollatorWithPadding(tokenizer)
    hf = HfTrainer(model=model, args=args, train_dataset=train, data_collator=collate)
    hf.train()
    low, high = recipe.data.label_range
    predictions = low + (high - low) * hf.predict(dev).predictions.reshape(-1).astype(float)
    model.save_pretrained(str(folder))
    return predictions, load_file(folder / "adapter_model.safetensors")


def four(recipe: Recipe) -> Sequence[Recipe]:
    """Unlike in rank, rate and targets, of one pack."""
    lora = replace(recipe.lora, lora_dropout=0.0)
    trainer = replace(recipe.trainer, eval_steps=6)
    unlike = [(2, 5e-3, "qv"), (4, 2e-3, "all-linear"), (8, 1e-3, "attention"), (16, 1e-2, "qv")]
    return [
        replace(
            recipe,
            lora=replace(lora, r=r, target_modules=targets),
            trainer=replace(trainer, learning_rate=rate),
        )
        for r, rate, targets in unlike
    ]


def assert_as_plain(recipe: Recipe, runs_dir: Path, folder: Path) -> None:
    expected, weights = plain(recipe, folder)
    assert np.ptp(expected) > 1e-2, "equal predictions for all rows show nothing"
    assert np.abs(predictions_of(recipe, runs_dir) - expected).max() < 1e-4
    found = adapter_of(recipe, runs_dir)
    assert found.keys() == weights.keys()
    for name in found:
        assert (found[name] - weights[name]).abs().max() < 1e-4, name


@each_kind
@pytest.mark.trains
def test_pack_on_a_quantized_base_equals_peft_alone_run_by_run(
    kind: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny("bert", tiny_model, tmp_path / "model")
    recipes = four(quantized(replace(recipe, model=model), kind))
    outcomes = train_together(recipes, tmp_path / "ours")
    assert [outcome.pack_size for outcome in outcomes] == [4] * 4
    for place, one in enumerate(recipes):
        assert_as_plain(one, tmp_path / "ours", tmp_path / f"plain-{place}")


@each_kind
@pytest.mark.trains
def test_pack_of_dora_on_a_quantized_base_equals_peft(
    kind: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    unlike = four(quantized(replace(recipe, model=tiny("bert", tiny_model, tmp_path / "m")), kind))
    recipes = [replace(one, lora=replace(one.lora, use_dora=True)) for one in unlike[:2]]
    outcomes = train_together(recipes, tmp_path / "ours")
    assert [outcome.pack_size for outcome in outcomes] == [2, 2]
    for place, one in enumerate(recipes):
        assert_as_plain(one, tmp_path / "ours", tmp_path / f"plain-{place}")


@each_kind
def test_base_is_small_and_its_head_whole(
    kind: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny("llama", tiny_model, tmp_path / "model")
    tokenizer = load_tokenizer(model)
    whole, _ = load_base(model, tokenizer)
    small = replace(model, quantization=kind)  # type: ignore[arg-type]
    base = Base(small, tokenizer, device=torch.device("cpu"), dtype=torch.bfloat16)
    layer = whole.base_model.layers[0].mlp.up_proj
    kept = base.net.base_model.layers[0].mlp.up_proj
    assert num_bytes(kept) < {"nf4": 0.75, "int8": 0.5}[kind] * num_bytes(layer)
    assert base.net.score.weight.dtype == torch.float32
    assert base.net.get_input_embeddings().weight.dtype == torch.bfloat16
    ids = torch.arange(5)[None]
    assert base.net.base_model(input_ids=ids).last_hidden_state.dtype == torch.bfloat16


def test_quantizations_of_one_model_are_configs_of_their_own(recipe: Recipe) -> None:
    small = quantized(recipe, "nf4")
    assert small.config_id != recipe.config_id
    assert pack_key(small) != pack_key(recipe)
    assert small.in_full(1e-4).model.quantization == "none"


@pytest.mark.parametrize("kind", PACKAGES)
def test_missing_package_is_told_with_the_way_out(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[kind], None)
    monkeypatch.setattr("sweep.core.optional.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="not installed") as told:
        check_quantization(kind)
    assert f'pip install "sweep[{kind}]"' in str(told.value)
