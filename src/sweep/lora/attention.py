"""Attention whose dropout is keyed like all other: transformers' models call it by name."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

from sweep.lora.draws import Noise
from sweep.lora.flat import ByBlock, mask_of

#: The name under which transformers knows it.
KEYED = "sweep_keyed"


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    scaling: float,
    keep: Tensor | None,
) -> Tensor:
    """Softmax attention, `softmax(q kᵀ · scaling + bias) v`, with dropout on the weights.

    Args:
        query: `[K * B, H, T, d]`; `key` and `value` `[K * B, H, S, d]`.
        bias: Added to the scores, `[K * B or 1, 1, T or 1, S]`; the dtype's minimum hides a key.
        keep: Factors on the weights, `[1, B, H, T, S]`, the same for each of the K runs.

    Returns:
        `[K * B, T, H, d]`.
    """
    out: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        query, key, value, bias, scaling, keep
    )
    return out.transpose(1, 2)


class _Attention(torch.autograd.Function):
    """`attend`, with contiguous factors and the softmax in float32.

    On a CPU both are several times faster than what autograd puts together: a softmax of 16-bit
    rows whose length is no multiple of 32 falls back to scalar code.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        scaling: float,
        keep: Tensor | None,
    ) -> Tensor:
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
        scores = torch.matmul(query, key.mT).float().mul_(scaling)
        if bias is not None:
            scores += bias
        weights = torch.softmax(scores, dim=-1)
        kept = weights.to(query.dtype)
        if keep is not None:
            kept = (kept.view(-1, *keep.shape[1:]) * keep).view_as(weights)
        ctx.save_for_backward(query, key, value, weights, kept, keep)
        ctx.scaling = scaling
        return torch.matmul(kept, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights, kept, keep = ctx.saved_tensors
        grad = grad.contiguous()
        grad_value = torch.matmul(kept.mT, grad)
        grad_weights = torch.matmul(grad, value.mT)
        if keep is not None:
            grad_weights = grad_weights.view(-1, *keep.shape[1:]).mul_(keep).view_as(weights)
        grad_scores = torch._softmax_backward_data(grad_weights.float(), weights, -1, torch.float32)
        grad_scores = grad_scores.mul_(ctx.scaling).to(query.dtype)
        grad_query = torch.matmul(grad_scores, key)
        grad_key = torch.matmul(grad_scores.mT, query)
        return grad_query, grad_key, grad_value, None, None, None


def keyed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | ByBlock | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface; without dropout it is PyTorch's own attention."""
    if isinstance(attention_mask, ByBlock):

        def attended(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
            return keyed_attention(module, query, key, value, bias, scaling, dropout, **kwargs)[0]

        return attention_mask.attended(attended, query, key, value), None
    # A learned position bias is added up there; its dropout stays PyTorch's, seeded once a run.
    if dropout == 0 or kwargs.get("position_bias") is not None:
        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **kwargs
        )
        return out, None
    noise, place = cast(tuple[Noise, str], module.sweep_noise)
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    rows = (query.shape[0] // noise.runs, *query.shape[1:-1], key.shape[-2])
    keep = noise.mask(place, rows, dropout, query)
    bias = None if attention_mask is None else attention_mask[..., : key.shape[-2]]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attend(query, key, value, bias, scale, keep).contiguous(), None


def use_keyed_attention(model: PreTrainedModel, noise: Noise) -> bool:
    """Have a model's attention draw its dropout from `noise`; False where it computes its own.

    Only PyTorch's attention is replaced: a model that asks for another needs what that one does.
    """
    if not model._supports_attention_backend or model.config._attn_implementation != "sdpa":
        return False
    AttentionInterface.register(KEYED, keyed_attention)
    AttentionMaskInterface.register(KEYED, mask_of)
    for path, module in model.named_modules():
        # A plain attribute: a tuple is no submodule and no buffer.
        module.sweep_noise = cast(nn.Module, (noise, path))
    model.set_attn_implementation(KEYED)
    return True
