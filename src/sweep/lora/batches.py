"""Batches: padded and laid out, dev sorted and cut by tokens, an order that can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices

from sweep.core.arrays import Floats
from sweep.lora.layout import Layout

#: One tokenised pair: lists of ids, or two of them in each column where its sentences are read
#: apart; and `labels` where the pair is scored.
Row = dict[str, Any]
Batch = dict[str, Any]
Ints = np.ndarray[Any, np.dtype[np.int64]]


class TokenisedPairs(Dataset[Row]):
    """Tokenised pairs in memory: a row of an Arrow table takes longer to read than to collate.

    `lengths` is `[N]`, in tokens.
    """

    def __init__(self, table: datasets.Dataset) -> None:
        columns = {name: list(table[name]) for name in table.column_names}
        self._rows = [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
        self.lengths: Ints = np.array(
            [sum(len(one["input_ids"]) for one in _sequences(row)) for row in self._rows]
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._rows[index]

    @property
    def labels(self) -> Floats:
        """`[N]`."""
        return np.array([row["labels"] for row in self._rows], dtype=np.float64)


class Collator:
    """Rows to one batch, the longest first, padded to it, with the layout of its tokens.

    Besides the tokenizer's columns and `labels` `[B]` a batch holds `layout`, a
    `sweep.lora.layout.Layout`, and `num_tokens`, without padding. They are made here, on the CPU,
    since counting on a GPU would make it wait. Of rows that are read apart the batch has 2 B
    sequences, and `sides` `[2, B]` says which are the first and the second of each pair.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    def __call__(self, rows: Sequence[Row]) -> Batch:
        rows = sorted(rows, key=lambda row: -len(row["input_ids"]))
        labels = [row["labels"] for row in rows]
        by_row = [_sequences(row) for row in rows]
        texts = [sequence for side in zip(*by_row, strict=True) for sequence in side]
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]["input_ids"]))
        batch: Batch = dict(
            self._tokenizer.pad([texts[place] for place in order], return_tensors="pt")
        )
        if len(texts) > len(rows):
            batch["sides"] = torch.tensor(order).argsort().view(2, -1)
        batch["labels"] = torch.tensor(labels, dtype=torch.float32)
        batch["layout"] = Layout.of(batch["attention_mask"])
        batch["num_tokens"] = batch["attention_mask"].sum()
        return batch


def _sequences(row: Row) -> list[Row]:
    """What the model reads of a pair: one sequence, or one for each sentence."""
    texts = {name: column for name, column in row.items() if name != "labels"}
    if not any(isinstance(ids, list) for ids in texts["input_ids"][:1]):
        return [texts]
    return [{name: column[side] for name, column in texts.items()} for side in (0, 1)]


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch there, its layout included, which the Trainer's own helper would leave behind."""
    return {name: part.to(device, non_blocking=True) for name, part in batch.items()}


def batches_by_tokens(lengths: Ints, tokens: int) -> list[list[int]]:
    """Row numbers in batches of like lengths, longest first; at most `tokens` once padded."""
    batches: list[list[int]] = []
    longest = 0
    for index in np.argsort(-lengths, kind="stable"):
        if not batches or (len(batches[-1]) + 1) * longest > tokens:
            batches.append([])
            longest = int(lengths[index])
        batches[-1].append(int(index))
    return batches


class GroupedByLength(Sampler[int]):
    """Batches of like lengths, in an order that depends on seed and epoch alone.

    transformers' own sampler draws from the global generator, which a resumed run can't restore.
    """

    def __init__(self, lengths: Ints, batch_size: int, seed: int) -> None:
        self._lengths = lengths.tolist()
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        return iter(
            get_length_grouped_indices(  # type: ignore[no-untyped-call]
                self._lengths, self._batch_size, generator=generator
            )
        )
