"""Bases with rotary positions compute without padding what transformers' own code does with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Gemma3TextConfig,
    GemmaConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from bare import assert_bare_equals_padded, batch_of
from packs import tiny, train_together
from plain_peft import assert_equal_to_plain, unlike, with_lora_dropout
from sweep.core.recipe import Recipe
from sweep.lora.attention import use_keyed_attention
from sweep.lora.draws import Noise
from sweep.lora.flat import ROTARY, FlatBase, can_flatten

GROUPED = {"num_key_value_heads": 1, "head_dim": 16}
#: Each with a window narrower than the longest text, where the family has one.
CONFIGS: dict[str, tuple[type, dict[str, Any]]] = {
    "modernbert": (ModernBertConfig, {"local_attention": 8}),
    "llama": (LlamaConfig, GROUPED),
    "mistral": (MistralConfig, GROUPED | {"sliding_window": 5}),
    "qwen2": (Qwen2Config, GROUPED),
    "qwen3": (Qwen3Config, GROUPED),
    "gemma": (GemmaConfig, GROUPED),
    "gemma3_text": (Gemma3TextConfig, GROUPED | {"sliding_window": 5}),
    "phi3": (Phi3Config, GROUPED | {"sliding_window": 6}),
    "gpt_neox": (GPTNeoXConfig, {}),
}


def made(family: str, vocabulary: int, pad: int) -> PreTrainedModel:
    torch.manual_seed(0)
    kind, options = CONFIGS[family]
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
    }
    # Large weights: small ones leave differences invisible.
    config = kind(**sizes, **options, pad_token_id=pad, num_labels=1, initializer_range=0.2)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    assert isinstance(model, PreTrainedModel)
    return model


@pytest.mark.parametrize(
    ("family", "side"),
    [
        *((family, "right") for family in ROTARY),
        # ModernBERT's head reads the first column, which would be padding.
        *((family, "left") for family in ROTARY if family != "modernbert"),
    ],
)
def test_logits_and_gradients_equal_those_with_padding(
    family: str, side: str, tiny_model: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model, padding_side=side)
    model, noise = made(family, len(tokenizer), tokenizer.pad_token_id), Noise()
    use_keyed_attention(model, noise)
    assert can_flatten(model)
    assert_bare_equals_padded(model, tokenizer, lambda: FlatBase(model, noise))


def test_layers_see_no_padding(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model, noise = made("llama", len(tokenizer), tokenizer.pad_token_id), Noise()
    use_keyed_attention(model, noise)
    batch = batch_of(tokenizer)
    seen: list[torch.Size] = []
    layer = model.get_submodule("model.layers.1.mlp.up_proj")
    layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    base = FlatBase(model, noise)
    base.layout = batch["layout"]
    model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    assert seen == [(1, len(batch["layout"].tokens), 32)]
    # Up to the next multiple of 16.
    assert batch["num_tokens"] <= len(batch["layout"].tokens) < batch["num_tokens"] + 16


def test_dropout_in_the_attention_and_other_families_keep_their_padding(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = made("llama", len(tokenizer), tokenizer.pad_token_id)
    assert can_flatten(model)
    model.config.attention_dropout = 0.1
    assert not can_flatten(model)
    model.config.attention_dropout = 0.0
    model.config.model_type = "opt"
    assert not can_flatten(model)
    model = made("gpt_neox", len(tokenizer), tokenizer.pad_token_id)
    model.config.hidden_dropout = 0.1
    assert not can_flatten(model)


@pytest.mark.trains
@pytest.mark.parametrize("family", ["modernbert", "llama"])
def test_pack_with_lora_dropout_equals_plain_peft_with_the_same_masks(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model")
    recipes = with_lora_dropout(unlike(replace(recipe, model=model)))[1:3]
    train_together(recipes, tmp_path / "ours")
    for number, one in enumerate(recipes):
        folder = tmp_path / f"plain-{number}"
        assert_equal_to_plain(one, tmp_path / "ours", folder, same_masks=True)
