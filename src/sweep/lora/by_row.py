"""Whether a model's layers see the rows of a batch, one after the other, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from transformers import PreTrainedModel

#: Two batches whose sizes no other size is likely to follow.
_FEW, _MORE, _TOKENS = 2, 3, 7


def is_by_row(outline: PreTrainedModel) -> bool:
    """Whether the first dimension of what linear layers and dropouts see grows with the batch.

    A pack lays the rows of its runs one after the other and takes them apart in each layer.
    DeBERTa also sends a table of relative positions through its projections, which is of no run;
    XLNet and Longformer have tokens first and rows second.

    Args:
        outline: A model without memory: it is run, but only shapes are computed. A layer that it
            can't be followed to is taken for one that sees something else.
    """
    few, all_followed = _first_dimensions(outline, _FEW)
    more, _ = _first_dimensions(outline, _MORE)
    linear = {id(m) for m in outline.base_model.modules() if isinstance(m, nn.Linear)}
    for path, sizes in few.items():
        if [size * _MORE for size in sizes] != [size * _FEW for size in more[path]]:
            return False
        # The head comes last, and sees what the base has made of each row; dropouts may be unused.
        if not (sizes or all_followed) and id(outline.get_submodule(path)) in linear:
            return False
    return True


def _first_dimensions(outline: PreTrainedModel, rows: int) -> tuple[dict[str, list[int]], bool]:
    """Of each input of each layer, by its path; and whether the whole pass could be followed."""
    ids = torch.ones(rows, _TOKENS, dtype=torch.long, device="meta")
    outline.train(False)
    with torch.no_grad(), _ShapesOnly(), _watched(outline) as sizes:  # type: ignore[no-untyped-call]
        try:
            outline(input_ids=ids, attention_mask=torch.ones_like(ids))
        # Whatever a family's code asks of numbers that are not there, or of its inputs.
        except Exception:
            return sizes, False
    return sizes, True


@contextmanager
def _watched(outline: PreTrainedModel) -> Iterator[dict[str, list[int]]]:
    sizes: dict[str, list[int]] = {}

    def noting(path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda _, inputs: sizes[path].append(inputs[0].shape[0])

    hooks = []
    for path, module in outline.named_modules():
        if isinstance(module, nn.Linear | nn.Dropout):
            sizes[path] = []
            hooks.append(module.register_forward_pre_hook(noting(path)))
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()


class _ShapesOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Where a model looks at a number it reads 1; tensors that it makes on the CPU join in."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return args[0].dtype == torch.bool or 1
        if any(isinstance(arg, Tensor) and arg.is_meta for arg in args):
            args = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), args)
        return func(*args, **(kwargs or {}))
