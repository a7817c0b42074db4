"""Batches: padded to the longest pair, with the layout of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

#: Tokens are filled up to a multiple of this with padding, so that few shapes occur: a matrix
#: library prepares itself anew for each shape.
_GRAIN = 16


class Collator:
    """Rows to one batch, padded to the longest, with the layout of its tokens.

    Besides the tokenizer's columns and `labels` `[B]` a batch holds `tokens` `[N]` and `first`
    `[B]`, as `sweep.train.unpadded.Layout` describes them. They are made here, on the CPU, since
    counting on a GPU would make it wait.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        texts = [{k: v for k, v in row.items() if k != "labels"} for row in rows]
        batch: dict[str, Tensor] = dict(self._tokenizer.pad(texts, return_tensors="pt"))
        batch["labels"] = torch.tensor([row["labels"] for row in rows], dtype=torch.float32)
        batch["tokens"], batch["first"] = _layout(batch["attention_mask"])
        return batch


def _layout(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the tokens, then of some padding to fill up; index of each row's first."""
    flat = mask.flatten()
    real, padding = flat.nonzero().squeeze(1), (flat == 0).nonzero().squeeze(1)
    lengths = mask.sum(1)
    return torch.cat([real, padding[: -len(real) % _GRAIN]]), lengths.cumsum(0) - lengths
