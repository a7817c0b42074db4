"""Lists of names and expressions in `lora.target_modules`; which ranks their layers take."""

from __future__ import annotations

import pytest

from families import BERT_BLOCK, refusal, resolve
from sweep.core.errors import TargetError
from sweep.lora.anatomy import TargetLayer
from sweep.lora.targets import ResolvedTargets, check_rank


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
