"""Bases with rotary positions without padding: all layers see real tokens only.

The model's own code is called with one row of tokens for each run, `[K, N]`, and with the position
of each in its sentence. So norms, feed-forward layers and adapters see no padding, whatever the
family is. Only the attention, which transformers calls by name, lays the tokens out in blocks of
like length; what a token may see there is said by the family's own masks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.masking_utils import eager_mask

from sweep.lora.draws import Noise
from sweep.lora.layout import Layout, gathered, scattered_to

#: Families whose tokens know of their position by rotation alone.
ROTARY = (
    *("modernbert", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma3_text", "phi3"),
    "gpt_neox",
)
#: Of the pass under way: its layout, and the mask of each block `[rows, columns]`.
_LAYOUT: ContextVar[Layout | None] = ContextVar("layout", default=None)


class FlatBase:
    """Takes the place of a base's `forward` until it is removed.

    `layout` is set before each pass.

    Args:
        model: One that `can_flatten`.
    """

    layout: Layout
    #: Whether the embeddings are computed once for all K runs.
    shared_embeddings = False

    def __init__(self, model: PreTrainedModel, noise: Noise) -> None:
        self._base: Any = model.base_model
        self._noise = noise
        self._forward = self._base.forward
        accepted = inspect.signature(self._forward).parameters
        self._options = {"use_cache": False} if "use_cache" in accepted else {}
        self._base.forward = self

    def remove(self) -> None:
        """Give the base its own forward back."""
        del self._base.forward

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, **kwargs: Any) -> Any:
        """Hidden states of all tokens, `[K * B, T, D]`, with zeros for padding."""
        layout, runs = self.layout, self._noise.runs
        rows, columns = input_ids.shape[0] // runs, input_ids.shape[1]
        ids = input_ids[:rows].flatten()[layout.tokens]
        places = (attention_mask[:rows].cumsum(1) - 1).clamp(min=0).flatten()[layout.tokens]
        options = {**kwargs, **self._options, "position_ids": places[None]}
        with _laid_out(layout):
            # A mask, so that nobody looks for sentences in the positions.
            seen = attention_mask.new_ones(runs, len(ids))
            outputs = self._forward(ids.expand(runs, -1), attention_mask=seen, **options)
        hidden = scattered_to(outputs.last_hidden_state, layout.tokens, rows * columns)
        outputs.last_hidden_state = hidden.view(runs * rows, columns, -1)
        return outputs


def can_flatten(model: PreTrainedModel) -> bool:
    """Whether a base's tokens need no place in a row of the batch but in the attention.

    Dropout there is zero in all that these families have published, as is GPT-NeoX's elsewhere.
    """
    config = model.config
    known = config.model_type in ROTARY and model._supports_attention_backend
    rates = (getattr(config, name, 0.0) for name in ("attention_dropout", "hidden_dropout"))
    return known and not any(rates)


@dataclass(frozen=True)
class ByBlock:
    """What stands for an attention mask where tokens are without padding.

    `biases` are added to the scores, `[K * rows, 1, columns, columns]` for each block.
    """

    layout: Layout
    biases: tuple[Tensor, ...]

    def attended(
        self, attend: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Attention `[K, N, H, d]` of `[K, H, N, d]`, by blocks; `attend` takes query,
        key, value and bias of one, and gives `[K * rows, columns, H, d]`."""
        parts = [self._blocks(states) for states in (query, key, value)]
        runs, heads = query.shape[:2]
        found = [
            attend(*of_block, bias).reshape(runs, -1, heads * value.shape[-1])
            for *of_block, bias in zip(*parts, self.biases, strict=True)
        ]
        context = gathered(torch.cat(found, dim=1), self.layout.cells)
        return context.view(runs, -1, heads, value.shape[-1])

    def _blocks(self, states: Tensor) -> list[Tensor]:
        """`[K, H, N, d]` to `[K * rows, H, columns, d]` of each block."""
        runs, heads, _, width = states.shape
        flat = states.transpose(1, 2).flatten(2)
        cells = scattered_to(flat, self.layout.cells, self.layout.num_cells)
        shapes = [mask.shape for mask in self.layout.masks]
        parts = torch.split(cells, [rows * columns for rows, columns in shapes], dim=1)
        return [
            part.reshape(runs * rows, columns, heads, width).transpose(1, 2)
            for part, (rows, columns) in zip(parts, shapes, strict=True)
        ]


def mask_of(batch_size: int, q_length: int, kv_length: int, **options: Any) -> Any:
    """transformers' interface for masks: added to the scores and never left out; in a pass without
    padding those of all blocks."""
    layout = _LAYOUT.get()
    if layout is None:
        return eager_mask(batch_size, q_length, kv_length, **options)
    masks = [mask.bool() for mask in layout.masks]
    options = {**options, "allow_is_bidirectional_skip": False}
    biases = [
        eager_mask(len(mask), mask.shape[1], mask.shape[1], **{**options, "attention_mask": mask})
        for mask in masks
    ]
    return ByBlock(layout, tuple(bias.repeat(batch_size, 1, 1, 1) for bias in biases))


@contextmanager
def _laid_out(layout: Layout) -> Iterator[None]:
    before = _LAYOUT.set(layout)
    try:
        yield
    finally:
        _LAYOUT.reset(before)
