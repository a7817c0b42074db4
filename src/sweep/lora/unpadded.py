"""BERT-shaped encoders without padding: linear layers see real tokens only.

In shuffled batches of 16 pairs more than half of all positions can be padding. Here the hidden
states of a batch are one row of real tokens for each run, `[K, N, D]`; only the attention lays
them out as sentences, in blocks of like length. Of the last layer the classifier reads the first
token of each pair, so that is all that is computed there. The embeddings and the head are the
model's own code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from sweep.lora.attention import attend
from sweep.lora.batched import linear_by_run
from sweep.lora.draws import KeyedDropout, Noise
from sweep.lora.flat import FlatBase, can_flatten
from sweep.lora.layout import Layout, gathered, scattered_to

#: Families whose classifier reads nothing but the first token of the encoder's output. The parts
#: of each that are called here are listed in `sweep.core.hooks`.
_FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "electra")


class UnpaddedEncoder:
    """Takes the place of an encoder's `forward` until it is removed.

    `layout` is set before each pass.

    Args:
        model: One of the families that `can_unpad`.
        shared_embeddings: Whether the embeddings `[B, T, D]` are computed once for all K runs, or
            for each of them, `[K * B, T, D]`.
        first_only: Whether the first tokens are all that is read of the last layer.
    """

    layout: Layout

    def __init__(
        self,
        model: PreTrainedModel,
        noise: Noise,
        *,
        shared_embeddings: bool,
        first_only: bool = True,
    ) -> None:
        self._path = f"{model.base_model_prefix}.encoder"
        self._encoder = model.get_submodule(self._path)
        self._layers: Any = self._encoder.layer
        self._noise = noise
        self.shared_embeddings = shared_embeddings
        self._first_only = first_only
        self._embeddings = model.get_submodule(f"{model.base_model_prefix}.embeddings")
        self._share_dropout(shared_embeddings)
        self._encoder.forward = self

    def remove(self) -> None:
        """Give the encoder its own forward back."""
        self._share_dropout(False)
        del self._encoder.forward

    def __call__(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Embeddings to hidden states of the first tokens, `[K * B, 1, D]`; or of all of them,
        `[K * B, T, D]`, with zeros for padding."""
        layout, runs = self.layout, self._noise.runs
        if self.shared_embeddings:
            tokens = hidden_states.flatten(0, 1)[layout.tokens]
            hidden = tokens.expand(runs, *tokens.shape)
        else:
            hidden = hidden_states.view(runs, -1, hidden_states.shape[-1])[:, layout.tokens]
        biases = [_bias(mask, runs, torch.float32) for mask in layout.masks]
        last = len(self._layers) - 1
        for number, layer in enumerate(self._layers):
            cut = self._first_only and number == last
            hidden = self._layer(layer, hidden, biases, number, first_only=cut)
        columns = 1
        if not self._first_only:
            columns = hidden_states.shape[1]
            hidden = scattered_to(hidden, layout.tokens, len(layout.first) * columns)
        states = hidden.reshape(-1, columns, hidden.shape[-1])
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states)

    def _share_dropout(self, shared: bool) -> None:
        for module in self._embeddings.modules():
            if isinstance(module, KeyedDropout):
                module.shared = shared

    def _layer(
        self, layer: Any, x: Tensor, biases: Sequence[Tensor], number: int, *, first_only: bool
    ) -> Tensor:
        """`[K, N, D]` to the same, or to `[K, B, D]`, the first tokens only."""
        layout, attention = self.layout, layer.attention.self
        wanted = x[:, layout.first] if first_only else x
        queries = _queries(attention, wanted, layout, first_only=first_only)
        keys, values = (
            _by_head(_padded(linear_by_run(part, x), layout), attention, layout)
            for part in (attention.key, attention.value)
        )
        keeps = self._keeps(number, attention, queries, keys)
        blocks = [
            attend(query, key, value, bias, attention.scaling, keep)
            for query, key, value, bias, keep in zip(
                queries, keys, values, biases, keeps, strict=True
            )
        ]
        runs = self._noise.runs
        context = torch.cat([block.reshape(runs, -1, x.shape[-1]) for block in blocks], dim=1)
        if not first_only:
            context = gathered(context, layout.cells)
        attended = layer.attention.output(context, wanted)
        out: Tensor = layer.output(layer.intermediate(attended), attended)
        return out

    def _keeps(
        self, number: int, attention: Any, queries: Sequence[Tensor], keys: Sequence[Tensor]
    ) -> Sequence[Tensor | None]:
        """Factors on the attention weights of each block, `[1, rows, H, T, S]`: one draw of all."""
        rate = attention.dropout.p
        if not attention.training or rate == 0:
            return [None] * len(queries)
        shapes = [
            (1, len(query) // self._noise.runs, *query.shape[1:-1], key.shape[-2])
            for query, key in zip(queries, keys, strict=True)
        ]
        sizes = [math.prod(shape) for shape in shapes]
        place = f"{self._path}.layer.{number}.attention.self"
        drawn = self._noise.mask(place, (sum(sizes),), rate, queries[0])
        parts = torch.split(drawn.squeeze(0), sizes)
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def without_padding(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    noise: Noise,
    *,
    shared_embeddings: bool,
    first_only: bool,
) -> UnpaddedEncoder | FlatBase | None:
    """Have a model train and score without padding, until it is removed; None where it can't."""
    if can_unpad(model, tokenizer):
        return UnpaddedEncoder(
            model, noise, shared_embeddings=shared_embeddings, first_only=first_only
        )
    return FlatBase(model, noise) if can_flatten(model) else None


def can_unpad(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a model's classifier reads the first token alone, and that is at the front.

    Padding on the left would put it elsewhere.
    """
    known = model.config.model_type in _FAMILIES and not getattr(model.config, "is_decoder", False)
    return known and tokenizer.padding_side == "right"


def _bias(mask: Tensor, runs: int, dtype: torch.dtype) -> Tensor:
    """`[K * B, 1, 1, T]`: 0 for tokens, the lowest number for padding."""
    bias = (1 - mask).to(dtype) * torch.finfo(dtype).min
    return bias.repeat(runs, 1)[:, None, None, :]


def _padded(x: Tensor, layout: Layout) -> Tensor:
    """`[K, N, D]` to `[K, cells, D]`, zeros for padding."""
    return scattered_to(x, layout.cells, layout.num_cells)


def _queries(attention: Any, x: Tensor, layout: Layout, *, first_only: bool) -> list[Tensor]:
    """What asks in each block, `[K * rows, H, T, d]`; with `first_only` T is 1."""
    if first_only:
        return _by_head(attention.query(x), attention, layout, columns=1)
    return _by_head(_padded(linear_by_run(attention.query, x), layout), attention, layout)


def _by_head(x: Tensor, attention: Any, layout: Layout, columns: int | None = None) -> list[Tensor]:
    """`[K, cells, H * d]` to `[K * rows, H, T, d]` of each block; T is its own, or `columns`."""
    shapes = [(len(mask), columns or mask.shape[1]) for mask in layout.masks]
    parts = torch.split(x, [rows * width for rows, width in shapes], dim=1)
    return [
        part.view(len(x), *shape, attention.num_attention_heads, -1).transpose(2, 3).flatten(0, 1)
        for part, shape in zip(parts, shapes, strict=True)
    ]
