"""PiSSA and OLoRA for K runs on one base: adapters that begin as a part of the weights below.

PEFT takes what an adapter begins with out of the base, `W - s B0 A0`, for one run. In a pack the
base stays `W` for all, and each run takes its own product out of what a layer gives: the same, but
for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from sweep.lora.batched import BatchedLora
from sweep.lora.draws import Noise
from sweep.lora.stack import weight_of

#: By path of a layer and run: A0 `[r, in]` and B0 `[out, r]`.
Starts = dict[tuple[str, str], tuple[Tensor, Tensor]]


@contextmanager
def given_back(net: nn.Module, paths: Sequence[str], run: str, starts: Starts) -> Iterator[None]:
    """While PEFT adds an adapter of this name; what it has then taken out of the layers is noted
    in `starts`, and their weights are what they were."""
    kept = {path: _weight_at(net, path).data for path in paths}
    for path, weight in kept.items():
        # PEFT subtracts in place.
        _weight_at(net, path).data = weight.clone()
    try:
        yield
    finally:
        for path, weight in kept.items():
            _weight_at(net, path).data = weight
    for path in paths:
        layer = net.get_submodule(path)
        assert isinstance(layer, LoraLayer)
        factors = (layer.lora_A[run], layer.lora_B[run])
        starts[path, run] = (weight_of(factors[0]).data.clone(), weight_of(factors[1]).data.clone())


class BatchedStarted(BatchedLora):
    """The forward of one layer for runs that have each begun with a part of its weights."""

    def __init__(
        self,
        layer: LoraLayer,
        runs: Sequence[str],
        noise: Noise,
        place: str,
        *,
        starts: Mapping[tuple[str, str], tuple[Tensor, Tensor]],
    ) -> None:
        super().__init__(layer, runs, noise, place)
        own = [starts[place, name] for name in runs if name in layer.lora_A]
        first, second = ([factors[side] for factors in own] for side in (0, 1))
        a = nn.utils.rnn.pad_sequence(first, batch_first=True)
        b = nn.utils.rnn.pad_sequence([one.mT for one in second], batch_first=True)
        dtype = self._base.weight.dtype
        # `[S, R, in]` and `[S, R, out]`, lower ranks filled up with zeros.
        self._taken = ((a * self._scaling).to(dtype), b.to(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        out = super().__call__(x)
        by_run, whole = (t.reshape(self._num_runs, -1, t.shape[-1]) for t in (x, out))
        a, b = self._taken
        if self._adapted is None:
            less = torch.baddbmm(whole, torch.bmm(by_run, a.mT), b, alpha=-1)
        else:
            low = torch.bmm(by_run.index_select(0, self._adapted), a.mT)
            less = whole.index_add(0, self._adapted, torch.bmm(low, b), alpha=-1)
        return less.view(out.shape)


def _weight_at(net: nn.Module, path: str) -> nn.Parameter:
    module = net.get_submodule(path)
    return weight_of(module.get_base_layer() if isinstance(module, LoraLayer) else module)
