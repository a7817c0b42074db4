"""K heads in one product: the batched forward of what every run trains in full.

Each run keeps its own parameters, the copies under PEFT's `modules_to_save[name]`, which lie in
stacks where the head is made of linear layers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft.utils.other import ModulesToSaveWrapper
from torch import Tensor, nn

from sweep.lora.draws import Noise
from sweep.lora.stack import Stack, linear_of, weight_of


class BatchedHead:
    """The forward of a head that every run trains in full, in float32 whatever the base computes.

    The copies are alike except for their weights. One made of linear layers only is computed once
    with stacked weights, another slice by slice.

    Args:
        wrapper: PEFT's wrapper around the copies of one head.
        runs: Names of all runs, in the order of their slices in the input.
        noise: Where its dropout draws from.
    """

    def __init__(self, wrapper: ModulesToSaveWrapper, runs: Sequence[str], noise: Noise) -> None:
        self._wrapper = wrapper
        self._copies: list[nn.Module] = [wrapper.modules_to_save[name] for name in runs]
        self._linear = _batched_linears(self._copies)
        self._noise = noise
        wrapper.forward = self  # type: ignore[method-assign]

    @property
    def stacks(self) -> tuple[Stack, ...]:
        return tuple(s for linear in (self._linear or ()) for s in linear.stacks)

    def remove(self) -> None:
        """Give the wrapper its own forward back."""
        del self._wrapper.forward
        for linear in self._linear or ():
            linear.remove()

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """`[K * B, ...]` to `[K * B, ...]`."""
        x = x.float()
        if self._linear is not None:
            out: Tensor = self._copies[0](x, *args, **kwargs)
            return out
        outs = []
        for copy, rows in zip(self._copies, x.chunk(len(self._copies)), strict=True):
            with self._noise.single_run():
                outs.append(copy(rows, *args, **kwargs))
        return torch.cat(outs)


class _BatchedLinear:
    """Stands in for one linear layer of the first copy of a head and computes that of all."""

    def __init__(self, copies: Sequence[nn.Linear]) -> None:
        self._stand_in = copies[0]
        self._weight = Stack([weight_of(copy) for copy in copies])
        self._bias = None if copies[0].bias is None else Stack([copy.bias for copy in copies])
        self._stand_in.forward = self  # type: ignore[method-assign,assignment]

    @property
    def stacks(self) -> tuple[Stack, ...]:
        return (self._weight,) if self._bias is None else (self._weight, self._bias)

    def __call__(self, x: Tensor) -> Tensor:
        weight = self._weight.tensor
        by_run = x.reshape(len(weight), -1, x.shape[-1])
        if self._bias is None:
            out = torch.bmm(by_run, weight.mT)
        else:
            out = torch.baddbmm(self._bias.tensor.unsqueeze(1), by_run, weight.mT)
        return out.view(*x.shape[:-1], out.shape[-1])

    def remove(self) -> None:
        del self._stand_in.forward


def _batched_linears(copies: Sequence[nn.Module]) -> list[_BatchedLinear] | None:
    """One per linear layer of a head, or None where other modules hold parameters as well."""
    holders = {
        path: module
        for path, module in copies[0].named_modules()
        if next(module.parameters(recurse=False), None) is not None
    }
    if not all(type(module) is nn.Linear for module in holders.values()):
        return None
    return [
        _BatchedLinear([linear_of(copy.get_submodule(path)) for copy in copies]) for path in holders
    ]
