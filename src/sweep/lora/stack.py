"""Parameters of several runs in one tensor: a forward pass takes it, an optimizer its views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Stack:
    """Equally named parameters of several runs in one leaf tensor `[S, *largest shape]`.

    The parameters become views of it; `hand_out_gradients` makes their `grad` views as well.

    Args:
        transposed: Lay matrices `[out, r]` as `[r, out]`: so lower ranks are whole rows too.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, transposed: bool = False) -> None:
        self.parameters = parameters
        self._transposed = transposed
        shapes = [p.shape[::-1] if transposed else p.shape for p in parameters]
        largest = torch.tensor(shapes).amax(0).tolist()
        self.tensor = parameters[0].new_zeros(len(parameters), *largest, requires_grad=False)
        for place, parameter in zip(self.tensor, parameters, strict=True):
            view = self._corner(place, parameter)
            view.copy_(parameter.detach())
            parameter.data = view
        self.tensor.requires_grad_()
        self.tensor.grad = torch.zeros_like(self.tensor)

    @property
    def gradient(self) -> Tensor:
        assert self.tensor.grad is not None
        return self.tensor.grad

    def hand_out_gradients(self) -> None:
        for place, parameter in zip(self.gradient, self.parameters, strict=True):
            parameter.grad = self._corner(place, parameter)

    def release(self) -> None:
        """Give every parameter memory of its own, so that the stack can go."""
        for parameter in self.parameters:
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
            parameter.grad = None

    def _corner(self, place: Tensor, parameter: Tensor) -> Tensor:
        """The part of a slice of the stack that belongs to a parameter, which may be smaller."""
        whole = place.mT if self._transposed else place
        return whole[tuple(slice(size) for size in parameter.shape)]


def linear_of(module: nn.Module) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module


def weight_of(module: nn.Module) -> nn.Parameter:
    weight = linear_of(module).weight
    assert isinstance(weight, nn.Parameter)
    return weight
