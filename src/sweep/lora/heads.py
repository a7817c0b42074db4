"""What makes a pair's score of what a pack computes: a trained classifier, or a cosine.

A head says which part of the base the adapters are put on, and turns a batch into scores
`[K, B]`, K runs and B pairs. Everything else of a pack does not know which one it has.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

from torch import Tensor, nn
from transformers import PreTrainedModel

from sweep.core.recipe import Model, Recipe
from sweep.core.task import Encoder
from sweep.data.token_ids import TOGETHER, Reading
from sweep.lora.batches import Batch
from sweep.lora.sentence_vectors import SentencePooling, pooled, pooling_of


class Head(Protocol):
    """How a pack scores pairs."""

    @property
    def adapted(self) -> PreTrainedModel:
        """What adapters are put on, and what is called with a batch."""

    @property
    def first_only(self) -> bool:
        """Whether nothing but the first token of each sequence is read."""

    def scores(self, outputs: Any, batch: Batch, *, runs: int) -> Tensor:
        """`[K, B]` in float32 of what `adapted` gives for the batch of all K runs; of a head with C
        classes `[K, B, C]`."""


class ClassifierHead:
    """`task.encoder: cross`. Both sentences in one sequence; every run trains a head of its own."""

    first_only = True

    def __init__(self, net: PreTrainedModel, *, of_classes: bool) -> None:
        self.adapted = net
        self._of_classes = of_classes

    def scores(self, outputs: Any, batch: Batch, *, runs: int) -> Tensor:
        logits: Tensor = outputs.logits
        shape = (runs, -1, logits.shape[-1]) if self._of_classes else (runs, -1)
        return logits.view(shape).float()


class CosineHead:
    """`task.encoder: bi`. The cosine of both sentences' vectors, pooled as the model's folder says.

    Nothing of it is trained: a study starts where the cosine without training stands.
    """

    def __init__(self, net: PreTrainedModel, pooling: SentencePooling) -> None:
        # transformers types it as any module.
        self.adapted = cast(PreTrainedModel, net.base_model)
        self._mode = pooling.mode
        self.first_only = pooling.mode == "cls"

    def scores(self, outputs: Any, batch: Batch, *, runs: int) -> Tensor:
        mask = batch["attention_mask"].bool().repeat(runs, 1)
        vectors = pooled(outputs.last_hidden_state.float(), mask, self._mode)
        by_run = nn.functional.normalize(vectors, dim=-1).view(runs, -1, vectors.shape[-1])
        one, other = batch["sides"]
        return (by_run[:, one] * by_run[:, other]).sum(-1)


def head_of(recipe: Recipe, net: PreTrainedModel) -> Head:
    """The head of a recipe's runs on a base."""
    pooling = pooling_for(recipe.model, recipe.task.encoder)
    if pooling is None:
        return ClassifierHead(net, of_classes=recipe.task.of_classes)
    return CosineHead(net, pooling)


def pooling_for(model: Model, encoder: Encoder) -> SentencePooling | None:
    """How each sentence becomes a vector; None where both are read at once."""
    return None if encoder == "cross" else pooling_of(model)


def reading_for(pooling: SentencePooling | None) -> Reading:
    """How the sentences of a pair come to a model that pools them so."""
    return TOGETHER if pooling is None else Reading(apart=True, prefix=pooling.prefix)


def reading_of(model: Model, encoder: Encoder) -> Reading:
    """How the sentences of a pair come to the model."""
    return reading_for(pooling_for(model, encoder))
