"""BERT-shaped encoders without padding: linear layers see real tokens only.

In shuffled batches of 16 pairs more than half of all positions can be padding. Here the hidden
states of a batch are one row of real tokens for each run, `[K, N, D]`; only the attention lays
them out as sentences. Of the last layer the classifier reads the first token of each pair, so
that is all that is computed there. The embeddings and the head are the model's own code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from sweep.train.attention import attend
from sweep.train.draws import KeyedDropout, Noise

#: Families whose classifier reads nothing but the first token of the encoder's output.
_FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "electra")


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a padded batch of B rows and T columns are.

    Args:
        tokens: `[N]`, positions in the flattened batch `[B * T]`, each at most once.
        first: `[B]`, index into `tokens` of the first token of each row.
        mask: `[B, T]`, 1 for tokens and 0 for padding.
    """

    tokens: Tensor
    first: Tensor
    mask: Tensor


class UnpaddedEncoder:
    """Takes the place of an encoder's `forward` until it is removed.

    `layout` is set before each pass.

    Args:
        model: One of the families that `can_unpad`.
        shared_embeddings: Whether the embeddings `[B, T, D]` are computed once for all K runs, or
            for each of them, `[K * B, T, D]`.
    """

    layout: Layout

    def __init__(self, model: PreTrainedModel, noise: Noise, *, shared_embeddings: bool) -> None:
        self._path = f"{model.base_model_prefix}.encoder"
        self._encoder = model.get_submodule(self._path)
        self._layers: Any = self._encoder.layer
        self._noise = noise
        self.shared_embeddings = shared_embeddings
        self._embeddings = model.get_submodule(f"{model.base_model_prefix}.embeddings")
        self._share_dropout(shared_embeddings)
        self._encoder.forward = self

    def remove(self) -> None:
        """Give the encoder its own forward back."""
        self._share_dropout(False)
        del self._encoder.forward

    def __call__(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Embeddings to hidden states of the first tokens, `[K * B, 1, D]`."""
        layout, runs = self.layout, self._noise.runs
        if self.shared_embeddings:
            tokens = hidden_states.flatten(0, 1)[layout.tokens]
            hidden = tokens.expand(runs, *tokens.shape)
        else:
            hidden = hidden_states.view(runs, -1, hidden_states.shape[-1])[:, layout.tokens]
        bias = _bias(layout.mask, self._noise.runs, torch.float32)
        last = len(self._layers) - 1
        for number, layer in enumerate(self._layers):
            hidden = self._layer(layer, hidden, layout, bias, number, first_only=number == last)
        first = hidden.flatten(0, 1).unsqueeze(1)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=first)

    def _share_dropout(self, shared: bool) -> None:
        for module in self._embeddings.modules():
            if isinstance(module, KeyedDropout):
                module.shared = shared

    def _layer(
        self, layer: Any, x: Tensor, layout: Layout, bias: Tensor, number: int, *, first_only: bool
    ) -> Tensor:
        """`[K, N, D]` to the same, or to `[K, B, D]`, the first tokens only."""
        attention = layer.attention.self
        heads, rate = attention.num_attention_heads, attention.dropout.p
        wanted = x[:, layout.first] if first_only else x
        asked = attention.query(wanted)
        query = asked.flatten(0, 1).unsqueeze(1) if first_only else _pad(asked, layout)
        query, key, value = (
            _by_head(part, heads)
            for part in (query, _pad(attention.key(x), layout), _pad(attention.value(x), layout))
        )
        keep = None
        if attention.training and rate > 0:
            rows = (layout.mask.shape[0], *query.shape[1:-1], key.shape[-2])
            place = f"{self._path}.layer.{number}.attention.self"
            keep = self._noise.mask(place, rows, rate, query)
        context = attend(query, key, value, bias, attention.scaling, keep).flatten(2)
        context = context.reshape(wanted.shape[0], -1, context.shape[-1])
        if not first_only:
            context = _Gather.apply(context, layout.tokens)  # type: ignore[no-untyped-call]
        attended = layer.attention.output(context, wanted)
        out: Tensor = layer.output(layer.intermediate(attended), attended)
        return out


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


def _by_head(x: Tensor, heads: int) -> Tensor:
    """`[rows, T, H * d]` to `[rows, H, T, d]`."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _pad(x: Tensor, layout: Layout) -> Tensor:
    """`[K, N, D]` to `[K * B, T, D]`, zeros for padding."""
    rows, columns = layout.mask.shape
    padded: Tensor = _Scatter.apply(  # type: ignore[no-untyped-call]
        x, layout.tokens, rows * columns
    )
    return padded.view(-1, columns, x.shape[-1])


class _Scatter(torch.autograd.Function):
    """`[K, N, D]` into zeros `[K, size, D]`; the inverse of `_Gather`, and its derivative.

    Positions are distinct, so that nothing needs adding up, which index_add would do slowly.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, positions: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(positions)
        return _scattered(x, positions, size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (positions,) = ctx.saved_tensors
        return grad.index_select(1, positions), None, None


class _Gather(torch.autograd.Function):
    """`[K, size, D]` to the rows at `positions`, `[K, N, D]`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, positions: Tensor) -> Tensor:
        ctx.save_for_backward(positions)
        ctx.size = x.shape[1]
        return x.index_select(1, positions)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (positions,) = ctx.saved_tensors
        return _scattered(grad, positions, ctx.size), None


def _scattered(x: Tensor, positions: Tensor, size: int) -> Tensor:
    return x.new_zeros(x.shape[0], size, x.shape[-1]).index_copy_(1, positions, x)
