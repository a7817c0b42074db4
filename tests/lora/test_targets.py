"""Which layers `lora.target_modules` means, checked against PEFT on tiny models of every family."""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers as tf
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn

from sweep.core.errors import ModelError, TargetError
from sweep.lora.targets import (
    PRESETS,
    ResolvedTargets,
    TargetLayer,
    check_rank,
    outline,
    resolve_targets,
)

# PEFT still asks transformers by the old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

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
    "opt": tf.OPTConfig(**SMALL | {"ffn_dim": 24, "word_embed_proj_dim": 8}),
    "llama": tf.LlamaConfig(**GROUPED),
    "qwen2": tf.Qwen2Config(**GROUPED),
    "qwen3": tf.Qwen3Config(**GROUPED),
    "mistral": tf.MistralConfig(**GROUPED),
    "gemma": tf.GemmaConfig(**GROUPED),
    "gemma2": tf.Gemma2Config(**GROUPED),
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
HEADS = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "albert"), ("classifier",)),
    "distilbert": ("pre_classifier", "classifier"),
    **dict.fromkeys(("deberta", "deberta-v2"), ("pooler", "classifier")),
    **dict.fromkeys(("gpt2", "opt", "llama", "qwen2", "qwen3", "mistral"), ("score",)),
    **dict.fromkeys(("gemma", "gemma2"), ("score",)),
}
#: Families that PEFT has no default layers for.
NO_DEFAULT = ("distilbert", "albert")
SPELLED_OUT = [(family, preset) for family, block in BLOCKS.items() for preset in block[2]]

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


def wrap(model: nn.Module, targets: ResolvedTargets, r: int = 2) -> PeftModel:
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=r,
        target_modules=targets.names,
        modules_to_save=list(targets.head),
        fan_in_fan_out=targets.fan_in_fan_out,
    )
    return get_peft_model(model, config)


def by_peft(family: str, **settings: object) -> PeftModel:
    """PEFT's own choice of layers, nothing of ours in it."""
    chosen = {"target_modules": "all-linear", "fan_in_fan_out": family == "gpt2"} | settings
    return get_peft_model(build(CONFIGS[family]), LoraConfig(task_type="SEQ_CLS", **chosen))


def adapted(model: PeftModel) -> set[str]:
    inner = model.base_model.model
    return {path for path, module in inner.named_modules() if isinstance(module, LoraLayer)}


def score(model: nn.Module) -> torch.Tensor:
    tokens = torch.arange(2, 14).reshape(2, 6)
    with torch.no_grad():
        return model.eval()(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits


# What the presets mean


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


# Blocks by number

OF_EACH_BLOCK = [
    ("bert", "qv", ["query", "value"]),
    ("roberta", "attention", ["query", "key", "value", "attention.output.dense"]),
    ("distilbert", "mlp", ["lin1", "lin2"]),
    ("deberta-v2", "qkv", ["query_proj", "key_proj", "value_proj"]),
    ("albert", "qv", ["query", "value"]),
    ("gpt2", "attention", ["c_attn", "attn.c_proj"]),
    ("llama", "qv", ["q_proj", "v_proj"]),
]


@pytest.mark.parametrize(
    ("family", "preset", "names", "layers"),
    [
        (*case, layers)
        for case in OF_EACH_BLOCK
        for layers in (0, [0], [1], [1, 0])
        # ALBERT has one block, which is computed twice.
        if case[0] != "albert" or layers in (0, [0])
    ],
)
def test_numbered_blocks_are_those_that_peft_picks_by_itself(
    family: str, preset: str, names: list[str], layers: int | list[int]
) -> None:
    plain = by_peft(family, target_modules=names, layers_to_transform=layers)
    model = outline(CONFIGS[family])
    for asked in (preset, names):
        targets = resolve_targets(model, asked, layers=layers)
        assert set(targets.names) == adapted(plain)
        wrapped = wrap(build(CONFIGS[family]), targets, r=8)
        assert adapted(wrapped) == adapted(plain)
        lora = sum(p.numel() for name, p in plain.named_parameters() if ".lora_" in name)
        assert targets.lora_params(8) == lora


@pytest.mark.parametrize("asked", ["all-linear", r".*\.dense", ["dense"]])
def test_what_is_in_no_block_is_left_out_where_blocks_are_numbered(asked: str | list[str]) -> None:
    targets = resolve_targets(outline(CONFIGS["bert"]), asked, layers=(1,))
    assert targets.names
    assert all(name.startswith("bert.encoder.layer.1.") for name in targets.names)


@pytest.mark.parametrize(
    ("layers", "said"), [(2, "2"), (-1, "-1"), ([0, 7, 9], "7, 9"), ([], "an empty list")]
)
def test_number_that_no_block_has_is_refused_with_those_that_are_there(
    layers: int | list[int], said: str
) -> None:
    with pytest.raises(TargetError) as error:
        resolve_targets(outline(CONFIGS["bert"]), "qv", layers=layers)
    assert error.value.value == said
    assert "0, 1" in error.value.way_out


def test_numbers_of_blocks_for_layers_in_none_are_refused() -> None:
    with pytest.raises(TargetError, match="not in numbered blocks"):
        resolve_targets(outline(CONFIGS["bert"]), ["pooler.dense"], layers=0)


# What PEFT makes of it


@family
@pytest.mark.parametrize("preset", ["attention", "mlp", "all-linear"])
def test_peft_adapts_exactly_the_resolved_layers_and_trains_the_whole_head(
    family: str, preset: str
) -> None:
    targets = resolve(family, preset)
    model = wrap(build(CONFIGS[family]), targets, r=3)
    inner = model.base_model.model

    assert adapted(model) == set(targets.names)
    assert targets.head == HEADS[family]
    saved = {p for p, module in inner.named_modules() if isinstance(module, ModulesToSaveWrapper)}
    assert saved == set(targets.head)
    trained = {name: p.numel() for name, p in inner.named_parameters() if p.requires_grad}
    lora = sum(size for name, size in trained.items() if ".lora_" in name)
    assert lora == targets.lora_params(3)
    assert sum(trained.values()) - lora == targets.head_params
    plain_head = [build(CONFIGS[family]).get_submodule(name) for name in targets.head]
    assert targets.head_params == sum(p.numel() for part in plain_head for p in part.parameters())


@family
def test_fan_in_fan_out_is_set_for_conv1d_alone(family: str) -> None:
    assert resolve(family, "all-linear").fan_in_fan_out is (family == "gpt2")


@family
def test_saved_adapter_scores_the_same_on_a_fresh_base(family: str, tmp_path: Path) -> None:
    targets = resolve(family, "all-linear")
    model = wrap(build(CONFIGS[family]), targets)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    model.save_pretrained(tmp_path)
    # Same base weights, another head: only a head that is in the file gives the same scores.
    fresh = build(CONFIGS[family])
    for name in targets.head:
        for parameter in fresh.get_submodule(name).parameters():
            nn.init.zeros_(parameter)
    before = score(fresh)
    reloaded = score(PeftModel.from_pretrained(fresh, tmp_path))
    assert torch.equal(reloaded, score(model))
    assert not torch.allclose(reloaded, before)


@pytest.mark.parametrize("family", ["roberta", "deberta-v2"])
def test_deep_model_whose_target_list_peft_shortens_keeps_its_layers(family: str) -> None:
    config = copy.deepcopy(CONFIGS[family])
    config.num_hidden_layers = 8
    targets = resolve_targets(outline(config), "all-linear")
    model = wrap(build(config), targets)
    assert len(model.peft_config["default"].target_modules) < 20 < len(targets.names)
    assert adapted(model) == set(targets.names)


# Lists and expressions


def test_name_means_the_path_itself_and_every_path_that_ends_in_it() -> None:
    whole = "bert.encoder.layer.1.attention.self.key"
    expected = {whole, *(f"bert.encoder.layer.{i}.attention.self.query" for i in range(2))}
    assert set(resolve("bert", [whole, "self.query"]).names) == expected


def test_name_is_no_part_of_a_longer_word() -> None:
    assert not any("pos_q_proj" in name for name in resolve("deberta", ["in_proj"]).names)
    assert "'q_proj' fits no module" in refusal("deberta", ["q_proj"])


def test_partly_wrong_list_names_the_wrong_item() -> None:
    message = refusal("bert", ["query", "vlaue"])
    assert "'vlaue' fits no module (nearest: 'value')" in message
    assert "'query'" not in message
    assert "dense, key, query, value" in message


def test_every_wrong_item_of_a_list_is_named_at_once() -> None:
    message = refusal("llama", ["q_prj", "self_attn.v_porj", "k_proj"])
    assert "'q_prj' fits no module (nearest: 'q_proj')" in message
    assert "'self_attn.v_porj' fits no module (nearest: 'self_attn.v_proj')" in message
    assert "'k_proj'" not in message


def test_empty_list_is_refused() -> None:
    assert "an empty list" in refusal("bert", [])


def test_preset_inside_a_list_is_refused_as_a_preset() -> None:
    assert "'qv' is a preset, which stands alone" in refusal("bert", ["qv"])


def test_misspelled_preset_gets_the_preset_as_nearest() -> None:
    assert "'all_linear' fits no module (nearest: 'all-linear')" in refusal("bert", "all_linear")


@pytest.mark.parametrize("name", ["query", "self.query"])
def test_name_that_is_not_in_a_list_is_refused_with_the_list_to_write(name: str) -> None:
    assert f"'{name}' is a name, which stands in a list: [{name}]" in refusal("bert", name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("LayerNorm", "LayerNorm"), ("word_embeddings", "Embedding"), ("encoder", "BertEncoder")],
)
def test_name_of_something_else_than_a_linear_layer_is_refused_with_its_kind(
    name: str, kind: str
) -> None:
    message = refusal("bert", ["query", name])
    assert f"'{name}' fits no linear layer, only {kind}" in message
    assert "nn.Linear and Conv1D can be adapted" in message


@pytest.mark.parametrize(
    ("family", "target"),
    [
        ("bert", ["query", "classifier"]),
        ("roberta", ["query", "out_proj"]),
        ("distilbert", ["pre_classifier"]),
        ("deberta-v2", ["pooler.dense"]),
        ("gpt2", ["score"]),
        ("bert", r"classifier"),
        ("roberta", r"classifier\.(dense|out_proj)"),
    ],
)
def test_layer_of_the_head_is_refused(family: str, target: str | list[str]) -> None:
    assert "is in the head, which is always trained in full" in refusal(family, target)


@pytest.mark.parametrize("target", [["dense"], r".*\.dense"])
def test_what_fits_head_and_base_means_the_base(target: str | list[str]) -> None:
    names = resolve("roberta", target).names
    assert len(names) == 6
    assert all(name.startswith("roberta.encoder.") for name in names)


def test_expression_must_fit_the_whole_path() -> None:
    names = resolve("bert", r"bert\.encoder\.layer\.1\..*(query|key)").names
    start = "bert.encoder.layer.1.attention.self"
    assert names == [f"{start}.query", f"{start}.key"]
    assert "fits no module" in refusal("bert", r"layer\.1\..*query")


def test_expression_that_fits_blocks_and_norms_means_the_linear_layers_among_them() -> None:
    names = resolve("bert", r".*layer\.0.*").names
    assert [name.removeprefix("bert.encoder.layer.0.") for name in names] == [
        *BERT_BLOCK["attention"],
        *BERT_BLOCK["mlp"],
    ]


def test_expression_that_fits_nothing_is_refused_with_the_nearest_name() -> None:
    assert "fits no module (nearest: 'value')" in refusal("bert", r".*\.(query_|vlaue)")
    assert "fits no linear layer, only LayerNorm" in refusal("bert", r".*LayerNorm")


@pytest.mark.parametrize("expression", ["", "...", "(?:)"])
def test_expression_without_a_word_is_refused(expression: str) -> None:
    assert "fits no module" in refusal("gpt2", expression)


def test_invalid_expression_is_refused_with_the_reason() -> None:
    message = refusal("bert", r".*(query")
    assert "is not valid: missing ), unterminated subpattern" in message
    assert "dense, key, query, value" in message


# The rank


def test_highest_rank_is_the_smaller_side_of_the_narrowest_layer() -> None:
    targets = resolve("llama", "attention")
    check_rank(targets, 1)
    check_rank(targets, 8)
    with pytest.raises(TargetError) as error:
        check_rank(targets, 9)
    message = str(error.value)
    assert "lora.r = 9; model.layers.0.self_attn.k_proj is 16 x 8" in message
    assert "choose lora.r from 1 to 8" in message


@pytest.mark.parametrize("r", [0, -4])
def test_rank_below_one_is_refused(r: int) -> None:
    with pytest.raises(TargetError, match=rf"at least 1(.|\n)*lora.r = {r};"):
        check_rank(resolve("bert", "qv"), r)


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("gpt2", TargetLayer("transformer.h.1.attn.c_attn", in_features=16, out_features=48)),
        ("llama", TargetLayer("model.layers.1.mlp.down_proj", in_features=24, out_features=16)),
    ],
)
def test_layer_has_its_sides_in_the_order_of_the_computation(
    family: str, layer: TargetLayer
) -> None:
    assert resolve(family, [layer.name]).layers == (layer,)


def test_lora_params_counts_both_factors_of_every_layer() -> None:
    layers = (TargetLayer("a", 3, 5), TargetLayer("b", 2, 2))
    targets = ResolvedTargets(layers, head=("h",), fan_in_fan_out=False, head_params=7)
    assert targets.lora_params(1) == 12
    assert targets.lora_params(10) == 120


# The outline and the head


@family
def test_outline_takes_no_memory_and_has_the_real_modules(family: str) -> None:
    before = CONFIGS[family].to_dict()
    model = outline(CONFIGS[family])
    tensors = itertools.chain(model.parameters(), model.buffers())
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    real = dict(build(CONFIGS[family]).named_modules())
    assert {name: type(module) for name, module in model.named_modules()} == {
        name: type(module) for name, module in real.items()
    }
    assert CONFIGS[family].to_dict() == before


def test_family_without_a_sequence_classifier_is_refused() -> None:
    with pytest.raises(ModelError, match=r"sequence classifier(.|\n)*vit"):
        outline(tf.ViTConfig())


def test_head_whose_name_ends_a_path_of_the_base_is_refused() -> None:
    model = outline(CONFIGS["bert"])
    model.add_module("pooler", nn.Linear(4, 4))
    with pytest.raises(TargetError, match=r"in the base bert\.pooler"):
        resolve_targets(model, "qv")


def test_base_layer_that_peft_would_take_for_the_head_is_refused() -> None:
    model = outline(CONFIGS["bert"])
    model.get_submodule("bert.encoder").add_module("score", nn.Linear(4, 4))
    with pytest.raises(TargetError, match=r"in the base bert\.encoder\.score"):
        resolve_targets(model, "qv")


def test_model_without_a_head_is_refused() -> None:
    model = outline(CONFIGS["bert"])
    model.classifier = nn.Identity()
    with pytest.raises(TargetError, match="head missing"):
        resolve_targets(model, "qv")


def test_presets_are_known_without_importing_torch() -> None:
    code = "import sys, sweep.lora.targets as t; print(*t.PRESETS, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["qv", "qkv", "attention", "mlp", "all-linear", "auto", "False"]
