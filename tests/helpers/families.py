"""Tiny models of every family, their heads, and what PEFT adapts by itself."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers as tf
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

from sweep.core.errors import TargetError
from sweep.lora.anatomy import outline
from sweep.lora.targets import ResolvedTargets, resolve_targets

SMALL = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_labels": 1,
    "pad_token_id": 0,
}

#: Grouped-query attention: the key and value projections are narrower than the query's.
GROUPED = SMALL | {"num_key_value_heads": 1, "head_dim": 8}

DEBERTA = SMALL | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0}

CONFIGS = {
    "bert": tf.BertConfig(**SMALL),
    "roberta": tf.RobertaConfig(**SMALL),
    "xlm-roberta": tf.XLMRobertaConfig(**SMALL),
    "electra": tf.ElectraConfig(**SMALL, embedding_size=8),
    "distilbert": tf.DistilBertConfig(
        vocab_size=60, dim=16, n_layers=2, n_heads=2, hidden_dim=24, num_labels=1
    ),
    "deberta": tf.DebertaConfig(**DEBERTA),
    "deberta-v2": tf.DebertaV2Config(**DEBERTA),
    "albert": tf.AlbertConfig(**SMALL, embedding_size=8),
    "gpt2": tf.GPT2Config(
        vocab_size=60, n_embd=16, n_layer=2, n_head=2, num_labels=1, pad_token_id=0
    ),
    "modernbert": tf.ModernBertConfig(**SMALL),
    "mpnet": tf.MPNetConfig(**SMALL),
    "gte": tf.GteConfig(**SMALL),
    "nomic_bert": tf.NomicBertConfig(**SMALL),
    "gpt_neox": tf.GPTNeoXConfig(**SMALL),
    "phi3": tf.Phi3Config(**GROUPED),
    "opt": tf.OPTConfig(**SMALL | {"ffn_dim": 24, "word_embed_proj_dim": 8}),
    "llama": tf.LlamaConfig(**GROUPED),
    "qwen2": tf.Qwen2Config(**GROUPED),
    "qwen3": tf.Qwen3Config(**GROUPED),
    "mistral": tf.MistralConfig(**GROUPED),
    "gemma": tf.GemmaConfig(**GROUPED),
    "gemma2": tf.Gemma2Config(**GROUPED),
    "gemma3_text": tf.Gemma3TextConfig(**GROUPED),
    "bart": tf.BartConfig(
        vocab_size=60,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        num_labels=1,
        pad_token_id=0,
    ),
}

BERT_BLOCK = {
    "qv": ["attention.self.query", "attention.self.value"],
    "qkv": [f"attention.self.{part}" for part in ("query", "key", "value")],
    "attention": [
        *(f"attention.self.{part}" for part in ("query", "key", "value")),
        "attention.output.dense",
    ],
    "mlp": ["intermediate.dense", "output.dense"],
}

HEADS = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "albert"), ("classifier",)),
    "distilbert": ("pre_classifier", "classifier"),
    **dict.fromkeys(("deberta", "deberta-v2"), ("pooler", "classifier")),
    **dict.fromkeys(("gpt2", "opt", "llama", "qwen2", "qwen3", "mistral"), ("score",)),
    **dict.fromkeys(("gemma", "gemma2", "gemma3_text", "gpt_neox", "phi3"), ("score",)),
    "bart": ("classification_head",),
    "modernbert": ("head", "classifier"),
    **dict.fromkeys(("mpnet", "gte", "nomic_bert"), ("classifier",)),
}

#: Families that PEFT has no default layers for.
NO_DEFAULT = ("distilbert", "albert", "modernbert", "mpnet", "gte", "nomic_bert", "phi3")

family = pytest.mark.parametrize("family", CONFIGS)


def resolve(family: str, target_modules: str | list[str]) -> ResolvedTargets:
    return resolve_targets(outline(CONFIGS[family]), target_modules)


def refusal(family: str, target_modules: str | list[str]) -> str:
    with pytest.raises(TargetError) as error:
        resolve(family, target_modules)
    return str(error.value)


def build(config: tf.PretrainedConfig, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return tf.AutoModelForSequenceClassification.from_config(copy.deepcopy(config))


def by_peft(family: str, **settings: object) -> PeftModel:
    """PEFT's own choice of layers, nothing of ours in it."""
    chosen = {"target_modules": "all-linear", "fan_in_fan_out": family == "gpt2"} | settings
    return get_peft_model(build(CONFIGS[family]), LoraConfig(task_type="SEQ_CLS", **chosen))


def adapted(model: PeftModel) -> set[str]:
    inner = model.base_model.model
    return {path for path, module in inner.named_modules() if isinstance(module, LoraLayer)}
