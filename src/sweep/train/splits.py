"""Train and dev as the training sees them: tokenised once, dev in batches made once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from sweep.core.arrays import Floats
from sweep.core.recipe import Data, Model
from sweep.core.task import Encoder
from sweep.data.pairs import load_split
from sweep.data.tokens import cached_tokens
from sweep.lora.batches import Collator, TokenisedPairs, batches_by_tokens, on_device
from sweep.lora.heads import reading_of
from sweep.lora.model import load_tokenizer
from sweep.lora.whole import AnyPack


@dataclass(frozen=True)
class Splits:
    """What all runs on one data set share, loaded once per process."""

    tokenizer: PreTrainedTokenizerBase
    train: TokenisedPairs
    dev: TokenisedPairs


@functools.lru_cache(maxsize=4)
def splits(model: Model, data: Data, encoder: Encoder = "cross") -> Splits:
    """Tokenizer and tokenised pairs, as the encoder reads them."""
    tokenizer, reading = load_tokenizer(model, data.template), reading_of(model, encoder)
    train, dev = (
        TokenisedPairs(cached_tokens(load_split(data, split), tokenizer, data, reading))
        for split in ("train", "dev")
    )
    return Splits(tokenizer, train, dev)


class ScoredSet:
    """Pairs to be scored, in batches of like lengths, collated once: evaluations repeat them.

    Args:
        batch_size: Pairs of a batch of average length.
        places: Of the rows that count; all of them unless told.
    """

    def __init__(
        self,
        rows: TokenisedPairs,
        collator: Collator,
        batch_size: int,
        places: Sequence[int] | None = None,
    ) -> None:
        chosen = list(range(len(rows)) if places is None else places)
        self.labels, lengths = rows.labels[chosen], rows.lengths[chosen]
        tokens = math.ceil(batch_size * float(rows.lengths.mean()))
        self._order = batches_by_tokens(lengths, tokens)
        self._batches = [collator([rows[chosen[i]] for i in batch]) for batch in self._order]

    @torch.no_grad()
    def predictions(self, pack: AnyPack, device: torch.device) -> Floats:
        """`[K, N]`, in the order of the rows: scores, or numbers of the likeliest classes."""
        pack.model.eval()
        found = np.empty((len(pack), len(self.labels)))
        outs = [pack.forward(on_device(batch, device)) for batch in self._batches]
        # All at once at the end: a GPU need not wait for each batch.
        for places, out in zip(self._order, outs, strict=True):
            found[:, places] = _answers(out).double().cpu().numpy()
        return found


def _answers(out: Tensor) -> Tensor:
    """`[K, B]` of scores, or of `[K, B, C]`; a row with a score that is no number has no class."""
    if out.dim() == 2:
        return out
    known = out.isfinite().all(-1)
    return out.argmax(-1).float().masked_fill(~known, torch.nan)
