"""What PEFT makes of the targets; blocks by number; the outline of a model and its head."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch
import transformers as tf
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import ModulesToSaveWrapper
from torch import nn

from families import CONFIGS, HEADS, adapted, build, by_peft, family, resolve
from sweep.core.errors import ModelError, TargetError
from sweep.lora.anatomy import outline
from sweep.lora.targets import ResolvedTargets, resolve_targets

# PEFT still asks transformers by the old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def wrap(model: nn.Module, targets: ResolvedTargets, r: int = 2) -> PeftModel:
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=r,
        target_modules=targets.names,
        modules_to_save=list(targets.head),
        fan_in_fan_out=targets.fan_in_fan_out,
    )
    return get_peft_model(model, config)


def score(model: nn.Module) -> torch.Tensor:
    tokens = torch.arange(3, 15).reshape(2, 6)
    # BART reads the sentence at its last `</s>`.
    tokens[:, -1] = 2
    with torch.no_grad():
        return model.eval()(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits


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
