"""DoRA for K runs in one product (arXiv:2402.09353): LoRA's layer with a length for each output."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from sweep.lora.batched import AdaptedLayer
from sweep.lora.draws import Noise
from sweep.lora.quantization import frozen_product
from sweep.lora.stack import Stack


class BatchedDora(AdaptedLayer):
    """The forward of one DoRA layer for all runs of a pack; runs that leave it out pass through.

    With `v = W + s B A` a run's weight is `m v / |v|`, row by row, with a trained length m for each
    output. As in the paper (section 4.3) and in PEFT, the norm is a constant for the gradient.
    Where dropout is on, base and adapter see the same dropped input, as in PEFT: that takes a
    second product with the base. A quantized base is made dense for each product, and once more
    for the norms.
    """

    def __init__(self, layer: LoraLayer, runs: Sequence[str], noise: Noise, place: str) -> None:
        super().__init__(layer, runs, noise, place)
        lengths = [_length_of(layer, name) for name in runs if name in layer.lora_A]
        self._lengths = Stack(lengths)
        self._row_squares = self._dense().square().sum(1)

    @property
    def stacks(self) -> tuple[Stack, ...]:
        return *super().stacks, self._lengths

    def __call__(self, x: Tensor) -> Tensor:
        by_run = x.reshape(self._num_runs, -1, x.shape[-1])
        whole = self._product(by_run, self._base.bias)
        inner, plain = self._of_adapted(by_run), self._of_adapted(whole)
        kept = self._kept(x)
        if kept is not None:
            inner = inner * ((kept != 0) * self._enlarged).to(x.dtype)
            plain = self._product(inner, None)
        elif self._base.bias is not None:
            plain = plain - self._base.bias
        low = torch.bmm(inner, (self._a.tensor * self._scaling).to(x.dtype).mT)
        own = torch.bmm(low, self._b.tensor.to(x.dtype))
        stretch = (self._lengths.tensor / self._norms()).unsqueeze(1)
        change = plain * (stretch - 1).to(x.dtype) + own * stretch.to(x.dtype)
        adapted = self._adapted
        out = whole + change if adapted is None else whole.index_add(0, adapted, change)
        return out.view(*x.shape[:-1], out.shape[-1])

    def _product(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return frozen_product(x, self._weight, bias)

    @torch.no_grad()
    def _dense(self) -> Tensor:
        return self._weight(torch.float32).float()

    def _of_adapted(self, by_run: Tensor) -> Tensor:
        return by_run if self._adapted is None else by_run.index_select(0, self._adapted)

    @torch.no_grad()
    def _norms(self) -> Tensor:
        """`|W + s B A|` of every row `[S, out]`, without a matrix of W's size for each run."""
        a, b = self._a.tensor * self._scaling, self._b.tensor
        with_base = torch.einsum("oi,sri->sro", self._dense(), a)
        among = torch.bmm(torch.bmm(a, a.mT), b)
        squares = self._row_squares + (b * (2 * with_base + among)).sum(1)
        return squares.sqrt()


def _length_of(layer: LoraLayer, name: str) -> nn.Parameter:
    length: object = layer.lora_magnitude_vector[name].weight
    assert isinstance(length, nn.Parameter)
    return length
