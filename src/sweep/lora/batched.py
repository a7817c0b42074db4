"""K adapters in one product: the batched forward of LoRA layers.

Each run keeps its own parameters, PEFT's `lora_A[name].weight` and `lora_B[name].weight`, which lie
in stacks, one tensor for all runs of a layer. Ranks below the largest are padded with zeros, which
stay zero: their gradients are products with zeros. So what a run computes does not depend on the
others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sweep.lora.draws import KeyedDropout, Noise, drop
from sweep.lora.quantization import FrozenWeight, frozen_weight, is_frozen_linear
from sweep.lora.stack import Stack, weight_of


class AdaptedLayer(ABC):
    """One adapted layer of the base, with the adapters of all runs of a pack in stacks.

    Takes the place of the layer's `forward` until it is removed.

    Args:
        layer: PEFT's layer around a frozen `nn.Linear`.
        runs: Names of all runs, in the order of their slices in the input.
        noise: Where dropout masks come from; `place` is the layer's own.
    """

    def __init__(self, layer: LoraLayer, runs: Sequence[str], noise: Noise, place: str) -> None:
        base = layer.get_base_layer()
        assert isinstance(base, nn.Linear)
        adapted = [name for name in runs if name in layer.lora_A]
        places = [place for place, name in enumerate(runs) if name in layer.lora_A]
        self._base = base
        self._weight = frozen_weight(base)
        # An `nn.Module` as well, which its class alone does not say.
        self._layer: Any = layer
        self._num_runs = len(runs)
        self._adapted = None
        if len(adapted) < len(runs):
            self._adapted = torch.tensor(places, device=base.weight.device)
        self._a = Stack([weight_of(layer.lora_A[name]) for name in adapted])
        self._b = Stack([weight_of(layer.lora_B[name]) for name in adapted], transposed=True)
        self._rates = [_rate(layer.lora_dropout[name]) for name in adapted]
        scaling = torch.tensor([layer.scaling[name] for name in adapted], dtype=torch.float32)
        self._scaling = scaling.view(-1, 1, 1).to(base.weight.device)
        dropout = 1 / (1 - torch.tensor(self._rates))
        #: What dropout leaves is enlarged by it, run by run.
        self._enlarged = dropout.view(-1, 1, 1).to(base.weight.device)
        self._noise = noise
        self._place = f"{place}.lora_dropout"
        self._layer.forward = self  # type: ignore[attr-defined]

    @property
    def stacks(self) -> tuple[Stack, ...]:
        return self._a, self._b

    def remove(self) -> None:
        """Give the layer its own forward back."""
        del self._layer.forward

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """`[K * B, ..., in]` to `[K * B, ..., out]`."""

    def _kept(self, x: Tensor) -> Tensor | None:
        """What dropout keeps of an input, as `drop` takes it: `[S or 1, M, in]`; None: all."""
        if not self._layer.training or not any(self._rates):
            return None
        rows = (x.shape[0] // self._num_runs, *x.shape[1:])
        return self._noise.kept(self._place, rows, self._rates, x).flatten(1, -2)


class BatchedLora(AdaptedLayer):
    """The forward of one LoRA layer for all runs of a pack; runs that leave it out pass through."""

    def __init__(self, layer: LoraLayer, runs: Sequence[str], noise: Noise, place: str) -> None:
        super().__init__(layer, runs, noise, place)
        # Dropout's own scale goes where LoRA's goes: both are one factor a run.
        self._train_scaling = self._scaling * self._enlarged

    def __call__(self, x: Tensor) -> Tensor:
        by_run = x.reshape(self._num_runs, -1, x.shape[-1])
        kept = self._kept(x)
        out: Tensor = _LoraProduct.apply(  # type: ignore[no-untyped-call]
            by_run,
            self._weight,
            self._base.bias,
            self._a.tensor,
            self._b.tensor,
            self._scaling if kept is None else self._train_scaling,
            kept,
            self._adapted,
        )
        return out.view(*x.shape[:-1], out.shape[-1])


class _LoraProduct(torch.autograd.Function):
    """`x Wᵀ + b + s drop(x) Aᵀ Bᵀ`, `[K * M, out]`, without temporaries of that size.

    Shapes: x `[K, M, in]`, weight gives `[out, in]`, bias `[out]` or None, a `[S, R, in]` and b
    `[S, R, out]` in float32, scaling `[S, 1, 1]`, kept `[S or 1, M, in]` or None; `adapted` lists
    the S of K runs that have an adapter here `[S]`, None means all.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: FrozenWeight,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: Tensor,
        kept: Tensor | None,
        adapted: Tensor | None,
    ) -> Tensor:
        # In two dimensions: three would make it a view, which may not be changed in place later.
        if _is_one_for_all(x):
            whole = nn.functional.linear(x[0], weight(x.dtype), bias).repeat(len(x), 1)
        else:
            whole = nn.functional.linear(x.flatten(0, 1), weight(x.dtype), bias)
        out = whole.view(*x.shape[:-1], -1)
        inner = x if adapted is None else x.index_select(0, adapted)
        if kept is not None:
            inner = drop(inner, kept)
        # Cast once a step; the scaling is in A, so that no product sees it again.
        a, b = (a * scaling).to(x.dtype), b.to(x.dtype)
        low = torch.bmm(inner, a.mT)
        if adapted is None:
            torch.baddbmm(out, low, b, out=out)
        else:
            out.index_add_(0, adapted, torch.bmm(low, b))
        ctx.num_runs = len(x)
        ctx.weight = weight
        ctx.save_for_backward(a, b, scaling, kept, inner, low, adapted)
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b, scaling, kept, inner, low, adapted = ctx.saved_tensors
        grad = grad.reshape(ctx.num_runs, -1, grad.shape[-1])
        here = grad if adapted is None else grad.index_select(0, adapted)
        grad_low = torch.bmm(here, b.mT)
        grad_a = torch.bmm(grad_low.mT, inner).float().mul_(scaling)
        grad_b = torch.bmm(low.mT, here).float()
        if not ctx.needs_input_grad[0]:
            return None, None, None, grad_a, grad_b, None, None, None
        grad_x = grad @ ctx.weight(grad.dtype)
        if kept is None and adapted is None:
            torch.baddbmm(grad_x, grad_low, a, out=grad_x)
        else:
            through = torch.bmm(grad_low, a)
            if kept is not None:
                through = drop(through, kept)
            if adapted is None:
                grad_x += through
            else:
                grad_x.index_add_(0, adapted, through)
        return grad_x, None, None, grad_a, grad_b, None, None, None


def linear_by_run(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer's output `[K, M, out]` for the K runs' inputs; alike ones are computed once."""
    if is_frozen_linear(layer) and _is_one_for_all(x):
        return layer(x[:1]).expand(len(x), -1, -1)  # type: ignore[no-any-return]
    return layer(x)  # type: ignore[no-any-return]


def _is_one_for_all(x: Tensor) -> bool:
    """Whether all runs share one input, as in the first layer, where no adapter came before."""
    return len(x) > 1 and x.stride(0) == 0


def _rate(dropout: nn.Module) -> float:
    return dropout.p if isinstance(dropout, (nn.Dropout, KeyedDropout)) else 0.0
