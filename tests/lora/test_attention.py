"""Keyed attention: transformers' own result without dropout, keyed masks with it."""

from __future__ import annotations

import torch
from transformers import AutoModelForSequenceClassification, LlamaConfig, PreTrainedModel

from sweep.lora.attention import use_keyed_attention
from sweep.lora.draws import Noise

IDS = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])
MASK = (IDS != 0).long()


def tiny_llama(rate: float, implementation: str = "sdpa") -> PreTrainedModel:
    """Causal, with grouped keys: four query heads share two key heads."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_dropout=rate,
        initializer_range=0.2,
        pad_token_id=0,
        num_labels=1,
    )
    model = AutoModelForSequenceClassification.from_config(
        config, attn_implementation=implementation
    )
    assert isinstance(model, PreTrainedModel)
    return model


def logits(model: PreTrainedModel) -> torch.Tensor:
    out: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).logits.detach()
    return out


def test_without_dropout_it_is_transformers_own_result() -> None:
    plain, keyed = tiny_llama(0.0).train(), tiny_llama(0.0).train()
    assert use_keyed_attention(keyed, Noise())
    assert torch.allclose(logits(keyed), logits(plain), atol=1e-5)


def test_a_rate_near_zero_masks_and_causes_as_transformers_does() -> None:
    # The path with dropout, where hardly anything is dropped.
    plain, keyed = tiny_llama(0.0).train(), tiny_llama(1e-9).train()
    assert use_keyed_attention(keyed, Noise())
    assert torch.allclose(logits(keyed), logits(plain), atol=1e-4)


def test_dropout_depends_on_seed_and_step_not_on_the_global_generator() -> None:
    model, noise = tiny_llama(0.3).train(), Noise(1)
    assert use_keyed_attention(model, noise)
    first = logits(model)
    torch.manual_seed(99)
    noise.at_step(0)
    assert torch.equal(logits(model), first)
    noise.at_step(1)
    assert not torch.equal(logits(model), first)


def test_runs_of_a_pack_see_the_same_mask() -> None:
    model, noise = tiny_llama(0.3).train(), Noise(1)
    assert use_keyed_attention(model, noise)
    alone = logits(model)
    noise.reset(1)
    noise.runs = 3
    together = model(input_ids=IDS.repeat(3, 1), attention_mask=MASK.repeat(3, 1)).logits
    for part in together.chunk(3):
        assert torch.allclose(part, alone, atol=1e-5)


def test_a_model_that_asks_for_another_attention_keeps_it() -> None:
    model = tiny_llama(0.3, "eager")
    assert not use_keyed_attention(model, Noise())
    assert model.config._attn_implementation == "eager"
