"""Gives a plain PEFT model the dropout masks that a pack draws.

The masks are the only thing that a pack's training with dropout may have of its own. A plain model
computes what its own code says, in its own layout with padding; a mask that a pack draws for the
tokens that it computes is laid out accordingly, and is 1 elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.masking_utils import eager_mask

from sweep.lora.draws import Noise
from sweep.lora.flat import can_flatten
from sweep.lora.layout import Layout
from sweep.lora.unpadded import can_unpad

_ATTENTION = "same_masks"


class SameMasks:
    """The draws of the pack that trains with this seed, for one plain model.

    Args:
        base: Before PEFT wraps it; its dropouts are replaced.
    """

    def __init__(
        self, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, seed: int
    ) -> None:
        self._noise = Noise(seed)
        self._passes = 0
        self._flat = f"{base.base_model_prefix}." if can_flatten(base) else None
        self._layers = base.config.num_hidden_layers if can_unpad(base, tokenizer) else 0
        for path, module in list(base.named_modules()):
            if isinstance(module, nn.Dropout):
                base.set_submodule(path, _Dropout(module.p, self, path))
        if base._supports_attention_backend and base.config._attn_implementation == "sdpa":
            AttentionInterface.register(_ATTENTION, _attention)
            AttentionMaskInterface.register(_ATTENTION, eager_mask)
            for path, module in base.named_modules():
                module.same_masks = (self, path)  # type: ignore[assignment]
            base.set_attn_implementation(_ATTENTION)

    def take_part(self, model: nn.Module) -> None:
        """Reach PEFT's dropouts too, and see every training pass come."""
        for path, layer in list(model.named_modules()):
            if isinstance(layer, LoraLayer):
                place = f"{path.removeprefix('base_model.model.')}.lora_dropout"
                for name, dropout in layer.lora_dropout.items():
                    if isinstance(dropout, nn.Dropout):
                        layer.lora_dropout[name] = _Dropout(dropout.p, self, place)
        model.register_forward_pre_hook(self._begin_pass, with_kwargs=True)

    def drop(self, x: Tensor, rate: float, place: str) -> Tensor:
        """Inverted dropout, as PyTorch documents it."""
        return x * self._kept(place, x.shape, rate) / (1 - rate)

    def _begin_pass(self, model: nn.Module, args: Any, inputs: dict[str, Any]) -> None:
        if model.training:
            self._noise.at_step(self._passes)
            self._passes += 1
            self._layout = Layout.of(inputs["attention_mask"])

    def _kept(self, place: str, shape: torch.Size, rate: float) -> Tensor:
        """Truth values of `shape`."""
        if self._flat is not None and place.startswith(self._flat):
            return self._kept_of_tokens(place, shape, rate)
        found = re.search(r"\.encoder\.layer\.(\d+)\.(.+)", place)
        if not self._layers or found is None:
            return self._draw(place, shape, rate)
        # A pack computes tokens, not padding, and of the last layer the first ones.
        first_only = int(found[1]) == self._layers - 1
        if found[2] == "attention.self":
            return self._kept_weights(place, shape, rate, first_only=first_only)
        positions = self._layout.tokens
        if first_only and not found[2].startswith(("attention.self.key", "attention.self.value")):
            positions = torch.arange(shape[0]) * shape[1]
        kept = torch.ones(shape, dtype=torch.bool)
        kept.view(-1, shape[-1])[positions] = self._draw(place, (len(positions), shape[-1]), rate)
        return kept

    def _kept_of_tokens(self, place: str, shape: torch.Size, rate: float) -> Tensor:
        """Of `[B, T, D]`, where a pack computes all tokens of the base and no padding."""
        positions = self._layout.tokens
        kept = torch.ones(shape, dtype=torch.bool)
        kept.view(-1, shape[-1])[positions] = self._draw(place, (len(positions), shape[-1]), rate)
        return kept

    def _kept_weights(
        self, place: str, shape: torch.Size, rate: float, *, first_only: bool
    ) -> Tensor:
        """Of attention weights `[B, H, T, T]`: one draw, block after block of rows."""
        columns = shape[-1]
        blocks = [
            torch.Size((rows, shape[1], 1 if first_only else width, width))
            for rows, width in (mask.shape for mask in self._layout.masks)
        ]
        drawn = self._draw(place, (sum(block.numel() for block in blocks),), rate)
        parts = drawn.split([block.numel() for block in blocks])
        kept = torch.ones(shape, dtype=torch.bool)
        of_block = kept.split([block[0] for block in blocks])
        for target, part, block in zip(of_block, parts, blocks, strict=True):
            # A block may be wider than the batch; its last columns are padding.
            inside = part.view(block)[:, :, :columns, :columns]
            target[:, :, : inside.shape[2], : inside.shape[3]] = inside
        return kept

    def _draw(self, place: str, shape: Sequence[int], rate: float) -> Tensor:
        return self._noise.kept(place, shape, [rate], torch.zeros(1))[0] != 0

    def __deepcopy__(self, memo: dict[int, Any]) -> SameMasks:
        return self


class _Dropout(nn.Dropout):
    def __init__(self, p: float, masks: SameMasks, place: str) -> None:
        super().__init__(p)
        self._masks, self._place = masks, place

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        return self._masks.drop(input, self.p, self._place)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention as transformers' models write it out."""
    scores = query @ key.mT * scaling
    weights = torch.softmax(scores if attention_mask is None else scores + attention_mask, dim=-1)
    if dropout:
        masks, place = module.same_masks
        weights = masks.drop(weights, dropout, place)
    return (weights @ value).transpose(1, 2).contiguous(), weights
