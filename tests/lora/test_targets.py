"""Which layers a preset of `lora.target_modules` means, on tiny models of every family."""

from __future__ import annotations

import subprocess
import sys

import pytest
import transformers as tf

from families import (
    BERT_BLOCK,
    CONFIGS,
    HEADS,
    NO_DEFAULT,
    adapted,
    by_peft,
    family,
    refusal,
    resolve,
)
from sweep.core.errors import TargetError
from sweep.lora.anatomy import outline
from sweep.lora.targets import PRESETS, resolve_targets

# PEFT still asks transformers by the old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

LLAMA_BLOCK = {
    "qv": ["self_attn.q_proj", "self_attn.v_proj"],
    "qkv": [f"self_attn.{part}_proj" for part in "qkv"],
    "attention": [f"self_attn.{part}_proj" for part in "qkvo"],
    "mlp": ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"],
}

DEBERTA_V2_ATTENTION = [f"attention.self.{part}_proj" for part in ("query", "key", "value")]

#: Family -> (path of one block, number of blocks, preset -> adapted layers of a block).
BLOCKS = {
    "bert": ("bert.encoder.layer.{}", 2, BERT_BLOCK),
    "roberta": ("roberta.encoder.layer.{}", 2, BERT_BLOCK),
    "xlm-roberta": ("roberta.encoder.layer.{}", 2, BERT_BLOCK),
    "electra": ("electra.encoder.layer.{}", 2, BERT_BLOCK),
    "distilbert": (
        "distilbert.transformer.layer.{}",
        2,
        {
            "qv": ["attention.q_lin", "attention.v_lin"],
            "qkv": [f"attention.{part}_lin" for part in "qkv"],
            "attention": [f"attention.{part}_lin" for part in ("q", "k", "v", "out")],
            "mlp": ["ffn.lin1", "ffn.lin2"],
        },
    ),
    "deberta": (
        "deberta.encoder.layer.{}",
        2,
        {
            "attention": ["attention.self.in_proj", "attention.output.dense"],
            "mlp": ["intermediate.dense", "output.dense"],
        },
    ),
    "deberta-v2": (
        "deberta.encoder.layer.{}",
        2,
        {
            "qv": [DEBERTA_V2_ATTENTION[0], DEBERTA_V2_ATTENTION[2]],
            "qkv": DEBERTA_V2_ATTENTION,
            "attention": [*DEBERTA_V2_ATTENTION, "attention.output.dense"],
            "mlp": ["intermediate.dense", "output.dense"],
        },
    ),
    "albert": (
        "albert.encoder.albert_layer_groups.{}.albert_layers.0",
        1,
        {
            "qv": ["attention.query", "attention.value"],
            "qkv": [f"attention.{part}" for part in ("query", "key", "value")],
            "attention": [f"attention.{part}" for part in ("query", "key", "value", "dense")],
            "mlp": ["ffn", "ffn_output"],
        },
    ),
    "gpt2": (
        "transformer.h.{}",
        2,
        {"attention": ["attn.c_attn", "attn.c_proj"], "mlp": ["mlp.c_fc", "mlp.c_proj"]},
    ),
    "opt": (
        "model.decoder.layers.{}",
        2,
        {
            "qv": ["self_attn.q_proj", "self_attn.v_proj"],
            "qkv": [f"self_attn.{part}_proj" for part in "qkv"],
            "attention": [f"self_attn.{part}_proj" for part in ("q", "k", "v", "out")],
            "mlp": ["fc1", "fc2"],
        },
    ),
    **dict.fromkeys(
        ("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2"),
        ("model.layers.{}", 2, LLAMA_BLOCK),
    ),
}

SPELLED_OUT = [(family, preset) for family, block in BLOCKS.items() for preset in block[2]]


@pytest.mark.parametrize(("family", "preset"), SPELLED_OUT)
def test_preset_means_these_layers_of_every_block(family: str, preset: str) -> None:
    block, blocks, layers = BLOCKS[family]
    expected = {f"{block.format(i)}.{name}" for i in range(blocks) for name in layers[preset]}
    assert set(resolve(family, preset).names) == expected


@pytest.mark.parametrize("family", [name for name in CONFIGS if name not in NO_DEFAULT])
def test_auto_means_the_layers_peft_picks_by_itself(family: str) -> None:
    assert set(resolve(family, "auto").names) == adapted(by_peft(family, target_modules=None))


@pytest.mark.parametrize("family", NO_DEFAULT)
def test_auto_without_a_default_in_peft_is_refused_with_the_presets(family: str) -> None:
    message = refusal(family, "auto")
    assert f"none for {family}" in message
    assert "a preset (qv, qkv, attention, mlp, all-linear, auto)" in message


@pytest.mark.parametrize("family", [name for name in CONFIGS if name != "distilbert"])
def test_all_linear_is_pefts_all_linear_where_peft_spares_the_head(family: str) -> None:
    # Untold, PEFT takes DeBERTa's pooler for a part of the base, and fails on DistilBERT.
    unknown = {"pooler.dense"} if family.startswith("deberta") else set()
    assert adapted(by_peft(family)) - unknown == set(resolve(family, "all-linear").names)


@family
def test_all_linear_is_pefts_all_linear_once_peft_is_told_the_head(family: str) -> None:
    told = adapted(by_peft(family, modules_to_save=list(HEADS[family])))
    assert told == set(resolve(family, "all-linear").names)


def test_all_linear_leaves_distilberts_pre_classifier_to_the_head() -> None:
    targets = resolve("distilbert", "all-linear")
    assert "pre_classifier" in targets.head
    assert all(name.startswith("distilbert.transformer.") for name in targets.names)


@pytest.mark.parametrize(
    ("family", "pooler"), [("bert", "bert.pooler.dense"), ("albert", "albert.pooler")]
)
def test_pretrained_pooler_is_adapted_by_all_linear_and_no_other_preset(
    family: str, pooler: str
) -> None:
    presets = set(PRESETS) - ({"auto"} if family in NO_DEFAULT else set())
    assert {name for name in presets if pooler in resolve(family, name).names} == {"all-linear"}


@pytest.mark.parametrize("preset", ["qv", "qkv"])
@pytest.mark.parametrize(("family", "layer"), [("gpt2", "c_attn"), ("deberta", "in_proj")])
def test_fused_attention_refuses_a_part_of_it_and_says_what_works(
    family: str, layer: str, preset: str
) -> None:
    message = refusal(family, preset)
    assert f"{family} computes all three in one layer, {layer}" in message
    assert f"attention (here {layer} and the attention output), [{layer}]" in message
    assert resolve(family, [layer]).layers


def test_preset_without_a_layer_of_known_name_says_which_role_and_lists_layers() -> None:
    bloom = tf.BloomConfig(vocab_size=60, hidden_size=16, n_layer=1, n_head=2, num_labels=1)
    with pytest.raises(TargetError) as error:
        resolve_targets(outline(bloom), "mlp")
    assert "bloom has none for mlp" in str(error.value)
    assert "dense_4h_to_h, dense_h_to_4h, query_key_value" in str(error.value)


def test_presets_are_known_without_importing_torch() -> None:
    code = "import sys, sweep.lora.targets as t; print(*t.PRESETS, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["qv", "qkv", "attention", "mlp", "all-linear", "auto", "False"]
