"""What a layer of a transformer does, by how its path ends: which roles of attention or the
feed-forward block it has.

A layer may have several: ModernBERT's `Wqkv` computes query, key and value at once, and an adapter
on it moves all three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_FUSED = ("query", "key", "value")
#: Roles -> how the paths of their layers end. The longest ending that fits decides, so that BERT's
#: `attention.output.dense` is not taken for the `output.dense` of its feed-forward block.
_ENDINGS: Mapping[tuple[str, ...], str] = {
    ("query",): "query query_proj q_proj q_lin q_head q_a_proj q_b_proj Wq attn.q "
    "SelfAttention.q EncDecAttention.q",
    ("key",): "key key_proj k_proj k_lin k_head Wk attn.k SelfAttention.k EncDecAttention.k",
    ("value",): "value value_proj v_proj v_lin v_head Wv attn.v SelfAttention.v EncDecAttention.v",
    ("key", "value"): "kv_proj kv_a_proj_with_mqa kv_b_proj",
    _FUSED: "c_attn self.in_proj Wqkv qkv qkv_proj query_key_value in_proj_qkv in_proj_qkvz",
    ("output",): "attention.output.dense attention.dense self_attention.dense self_attn.dense "
    "multi_head_attention.dense attn.c_proj attn.o attn.Wo attn.out_proj SelfAttention.o "
    "EncDecAttention.o out_proj out_lin o_proj post_proj self_attn.output",
    ("mlp",): "intermediate.dense output.dense ffn ffn_output lin1 lin2 fc1 fc2 fc_in fc_out "
    "linear_1 linear_2 layer_1 layer_2 ffn.0 ffn.2 mlp.c_fc mlp.c_proj mlp.Wi mlp.Wo wi wi_0 wi_1 "
    "wo gate_proj up_proj gate_up_proj down_proj dense_h_to_4h dense_4h_to_h ffn.up_proj "
    "feed_forward.dense.dense feed_forward.output.dense",
}
_ROLES_OF = {
    ending: frozenset(roles) for roles, endings in _ENDINGS.items() for ending in endings.split()
}


def fits(path: str, name: str) -> bool:
    """Whether a name means the module of this path, as in PEFT."""
    return path == name or path.endswith(f".{name}")


def roles_of(paths: Iterable[str]) -> dict[str, frozenset[str]]:
    """Path -> its roles, of those that have some."""
    found = {}
    for path in paths:
        if fitting := [ending for ending in _ROLES_OF if fits(path, ending)]:
            found[path] = _ROLES_OF[max(fitting, key=len)]
    return found
