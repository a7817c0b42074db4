"""A model without padding, held against itself with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sweep.lora.batches import Collator

#: Texts of very different lengths, Korean among them; the long one makes a block of its own.
TEXTS = [
    "고양이 본다",
    "cat sees dog 바다 나무 책 cat eats train " * 6,
    "책",
    "sea dog 기차 달린다",
]


class Removable(Protocol):
    """What has taken a model's place, and knows the layout of a batch."""

    layout: Any

    def remove(self) -> None: ...


def batch_of(tokenizer: PreTrainedTokenizerBase) -> Any:
    """`TEXTS` in several blocks."""
    batch = Collator(tokenizer)([{**tokenizer(text), "labels": 0.5} for text in TEXTS])
    assert len(batch["layout"].masks) > 1, "with one block the case shows less"
    return batch


def assert_bare_equals_padded(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, made_bare: Callable[[], Removable]
) -> None:
    """Logits and gradients; afterwards the model computes with padding as before."""
    batch = batch_of(tokenizer)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}

    def results() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        model.zero_grad()
        logits = model(**inputs).logits
        logits.square().sum().backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        return logits.detach(), gradients

    padded, expected = results()
    bare = made_bare()
    bare.layout = batch["layout"]
    logits, found = results()
    assert torch.allclose(logits, padded, atol=1e-5)
    assert padded.std() > 1e-3, "equal logits for all rows show nothing"
    for name in expected:
        assert torch.allclose(found[name], expected[name], atol=1e-4, rtol=1e-3), name
    bare.remove()
    assert torch.equal(model(**inputs).logits, padded)
