"""An encoder without padding computes what transformers' own computes with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    CamembertConfig,
    ElectraConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaConfig,
    XLMRobertaConfig,
)

from bare import assert_bare_equals_padded, batch_of
from sweep.lora.draws import KeyedDropout, Noise, use_keyed_dropout
from sweep.lora.unpadded import UnpaddedEncoder, can_unpad

CONFIGS = {
    "bert": BertConfig,
    "electra": ElectraConfig,
    "roberta": RobertaConfig,
    "xlm-roberta": XLMRobertaConfig,
    "camembert": CamembertConfig,
}


def tiny(family: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    torch.manual_seed(0)
    config = CONFIGS[family](
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
        # Large weights: small ones leave differences invisible.
        initializer_range=0.2,
    )
    model = AutoModelForSequenceClassification.from_config(config).eval()
    assert isinstance(model, PreTrainedModel)
    return model


@pytest.mark.parametrize("family", CONFIGS)
def test_logits_and_gradients_equal_those_with_padding(family: str, tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = tiny(family, tokenizer)
    assert can_unpad(model, tokenizer)
    assert_bare_equals_padded(
        model, tokenizer, lambda: UnpaddedEncoder(model, Noise(), shared_embeddings=True)
    )


def test_attention_dropout_reaches_all_blocks_alike_in_every_run(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model, noise = tiny("bert", tokenizer), Noise()
    use_keyed_dropout(model, noise)
    for path, module in model.named_modules():
        if isinstance(module, KeyedDropout):
            module.p = 0.4 if "attention.self" in path else 0.0
    batch = batch_of(tokenizer)
    encoder = UnpaddedEncoder(model, noise, shared_embeddings=True)
    encoder.layout = batch["layout"]

    def logits(*, runs: int, step: int, training: bool = True) -> Tensor:
        noise.runs = runs
        noise.at_step(step)
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            found: Tensor = model.train(training)(**inputs).logits
        return found.view(runs, -1)

    alone = logits(runs=1, step=0)[0]
    for other in logits(runs=3, step=0):
        assert torch.allclose(other, alone, atol=1e-5)
    for others in (logits(runs=1, step=1)[0], logits(runs=1, step=0, training=False)[0]):
        assert ((others - alone).abs() > 1e-4).all(), "a row without dropout"


def test_other_families_and_left_padding_keep_their_own_encoder(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = tiny("bert", tokenizer)
    model.config.model_type = "modernbert"
    assert not can_unpad(model, tokenizer)
    tokenizer.padding_side = "left"
    assert not can_unpad(tiny("bert", tokenizer), tokenizer)
