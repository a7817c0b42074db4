"""The layout of a batch: every token once, and no block much wider than its rows."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sweep.lora.layout import Layout


def mask_of(lengths: list[int]) -> Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()


@given(st.lists(st.integers(2, 150), min_size=1, max_size=40))
def test_every_token_has_one_cell_of_its_row(lengths: list[int]) -> None:
    lengths = sorted(lengths, reverse=True)
    mask = mask_of(lengths)
    layout = Layout.of(mask)
    real = mask.flatten().nonzero().squeeze(1)
    assert len(layout.tokens) == len(layout.cells)
    assert layout.tokens[: len(real)].equal(real)
    assert len(layout.tokens.unique()) == len(layout.tokens)
    assert len(layout.cells.unique()) == len(layout.cells)
    # A row's tokens lie side by side in a row of a block, and its first token is the first cell.
    rows = [row for block in layout.masks for row in block]
    starts = [0]
    for row in rows[:-1]:
        starts.append(starts[-1] + len(row))
    assert [int(row.sum()) for row in rows] == lengths
    for start, first, length in zip(starts, layout.first.tolist(), lengths, strict=True):
        assert layout.cells[first : first + length].tolist() == list(range(start, start + length))
    # What fills up is padding in both.
    filling = slice(len(real), None)
    assert (mask.flatten()[layout.tokens[filling]] == 0).all()
    assert (torch.cat([m.flatten() for m in layout.masks])[layout.cells[filling]] == 0).all()


def test_one_long_row_does_not_widen_the_others() -> None:
    layout = Layout.of(mask_of([120, *[20] * 15]))
    assert [tuple(mask.shape) for mask in layout.masks] == [(1, 128), (15, 24)]


def test_rows_of_like_length_stay_together() -> None:
    layout = Layout.of(mask_of([30, 29, 28, 27, 26, 25, 24, 23]))
    assert [tuple(mask.shape) for mask in layout.masks] == [(8, 32)]
