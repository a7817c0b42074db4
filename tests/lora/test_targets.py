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
            "qv": ["attention.self.in_proj"],
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
    "gpt2": (
        "transformer.h.{}",
        2,
        {
            **{key: ["attn.c_attn"] for key in ("qv", "qkv")},
            "attention": ["attn.c_attn", "attn.c_proj"],
            "mlp": ["mlp.c_fc", "mlp.c_proj"],
        },
    ),
    "modernbert": (
        "model.layers.{}",
        2,
        {
            **{key: ["attn.Wqkv"] for key in ("qv", "qkv", "auto")},
            "attention": ["attn.Wqkv", "attn.Wo"],
            "mlp": ["mlp.Wi", "mlp.Wo"],
        },
    ),
    "gpt_neox": (
        "gpt_neox.layers.{}",
        2,
        {
            **{key: ["attention.query_key_value"] for key in ("qv", "qkv")},
            "attention": ["attention.query_key_value", "attention.dense"],
            "mlp": ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"],
        },
    ),
    "phi3": (
        "model.layers.{}",
        2,
        {
            **{key: ["self_attn.qkv_proj"] for key in ("qv", "auto")},
            "attention": ["self_attn.qkv_proj", "self_attn.o_proj"],
            "mlp": ["mlp.gate_up_proj", "mlp.down_proj"],
        },
    ),
    "mpnet": (
        "mpnet.encoder.layer.{}",
        2,
        {
            **{key: ["attention.attn.q", "attention.attn.v"] for key in ("qv", "auto")},
            "attention": [f"attention.attn.{part}" for part in "qkvo"],
            "mlp": ["intermediate.dense", "output.dense"],
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
def test_auto_without_a_default_in_peft_is_qv_and_says_so(family: str) -> None:
    auto, qv = resolve(family, "auto"), resolve(family, "qv")
    assert auto.names == qv.names
    assert f"auto is qv: PEFT has no default for {family}" in auto.note


@pytest.mark.parametrize("family", [name for name in CONFIGS if name != "distilbert"])
def test_all_linear_is_pefts_all_linear_where_peft_spares_the_head(family: str) -> None:
    # Untold, PEFT takes DeBERTa's pooler, ModernBERT's head and BART's for parts of the base, and
    # fails on DistilBERT.
    bart = {f"classification_head.{name}" for name in ("dense", "out_proj")}
    unknown = {"pooler.dense", "head.dense", *bart}
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
    assert {name for name in PRESETS if pooler in resolve(family, name).names} == {"all-linear"}


@pytest.mark.parametrize(
    ("family", "layer"),
    [("gpt2", "c_attn"), ("deberta", "in_proj"), ("modernbert", "Wqkv"), ("phi3", "qkv_proj")],
)
def test_part_of_a_fused_layer_is_all_of_it_and_says_so(family: str, layer: str) -> None:
    targets = resolve(family, "qv")
    assert {name.split(".")[-1] for name in targets.names} == {layer}
    assert f"qv is {layer} here, which computes key, query, value at once" in targets.note
    assert not resolve(family, "attention").note
    assert not resolve(family, "qkv").note


@family
def test_every_preset_means_something_in_every_family(family: str) -> None:
    for preset in PRESETS:
        assert resolve(family, preset).layers


def test_a_refusal_offers_only_what_this_model_has() -> None:
    fnet = tf.FNetConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_labels=1)
    with pytest.raises(TargetError) as error:
        resolve_targets(outline(fnet), "attention")
    message = str(error.value)
    assert "fnet has none for query, key, value, output" in message
    assert "a preset (mlp, all-linear)" in message
    for preset in ("mlp", "all-linear"):
        assert resolve_targets(outline(fnet), preset).layers


def test_presets_are_known_without_importing_torch() -> None:
    code = "import sys, sweep.lora.targets as t; print(*t.PRESETS, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["qv", "qkv", "attention", "mlp", "all-linear", "auto", "False"]
