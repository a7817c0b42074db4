"""Where the tokens of a batch are: without padding, and in blocks of like length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: Tokens are filled up to a multiple of this with padding, so that few shapes occur: a matrix
#: library prepares itself anew for each shape.
_GRAIN = 16
#: A block is as wide as a multiple of this, and of an eighth of the next power of two.
_NARROWEST = 8
#: Attention scores that a further block must save for its calls to be worth it: a call takes as
#: long as some thousand scores do.
_WORTH = 4096


@dataclass(frozen=True)
class Layout:
    """The tokens of a padded batch of B rows, longest first, and T columns.

    Attention costs the square of the columns, so one long row would make all others expensive: rows
    of like length make a block with columns of its own.

    Args:
        tokens: `[N]`, positions in the flattened batch `[B * T]`, each at most once.
        first: `[B]`, index into `tokens` of the first token of each row.
        cells: `[N]`, position of each token in the blocks, flattened and laid end to end.
        masks: One per block, `[rows, columns]`, 1 for tokens and 0 for padding.
    """

    tokens: Tensor
    first: Tensor
    cells: Tensor
    masks: tuple[Tensor, ...]

    @classmethod
    def of(cls, mask: Tensor) -> Layout:
        """Of the mask `[B, T]` of a batch that is still on the CPU."""
        flat = mask.flatten()
        lengths = mask.sum(1)
        first = lengths.cumsum(0) - lengths
        tokens, padding = flat.nonzero().squeeze(1), (flat == 0).nonzero().squeeze(1)
        blocks = _blocks(lengths.tolist())
        by_block = torch.split(lengths, [rows for rows, _ in blocks])
        masks = tuple(
            (torch.arange(columns) < part.unsqueeze(1)).to(mask.dtype)
            for part, (_, columns) in zip(by_block, blocks, strict=True)
        )
        in_blocks = torch.cat([block.flatten() for block in masks])
        cells, empty = in_blocks.nonzero().squeeze(1), (in_blocks == 0).nonzero().squeeze(1)
        filling = min(-len(tokens) % _GRAIN, len(padding), len(empty))
        return cls(
            torch.cat([tokens, padding[:filling]]),
            first,
            torch.cat([cells, empty[:filling]]),
            masks,
        )

    @property
    def num_cells(self) -> int:
        return sum(mask.numel() for mask in self.masks)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Layout:
        """A copy on another device, as accelerate moves the parts of a batch."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        masks = tuple(moved(mask) for mask in self.masks)
        return Layout(moved(self.tokens), moved(self.first), moved(self.cells), masks)


def _blocks(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Rows and columns of each block, for rows of falling lengths."""
    blocks: list[tuple[int, int]] = []
    rows, columns = 0, _columns(lengths[0])
    for place, length in enumerate(lengths):
        saved = (len(lengths) - place) * (columns**2 - _columns(length) ** 2)
        if saved >= _WORTH and rows:
            blocks.append((rows, columns))
            rows, columns = 0, _columns(length)
        rows += 1
    return [*blocks, (rows, columns)]


def _columns(length: int) -> int:
    """Rounded up, so that few shapes occur."""
    grain = max(_NARROWEST, (1 << (length - 1).bit_length()) // 8)
    return -(-length // grain) * grain


def scattered_to(x: Tensor, positions: Tensor, size: int) -> Tensor:
    """`[K, N, D]` to these positions of `[K, size, D]`, zeros elsewhere."""
    scattered: Tensor = _Scatter.apply(x, positions, size)  # type: ignore[no-untyped-call]
    return scattered


def gathered(x: Tensor, positions: Tensor) -> Tensor:
    """`[K, size, D]` to the rows at `positions`, `[K, N, D]`."""
    rows: Tensor = _Gather.apply(x, positions)  # type: ignore[no-untyped-call]
    return rows


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
