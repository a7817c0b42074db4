"""The task: what the model is to answer, and what its answers are judged by. Part of the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from sweep.core.metric import PEARSON, Metric, metric_named

#: How a pair is scored: in one pass over both sentences, or by the cosine of their vectors.
Encoder = Literal["cross", "bi"]
Kind = Literal["similarity", "regression", "classification"]


@dataclass(frozen=True)
class Task:
    """What the model answers, and what its answers are judged by."""

    #: `cross` reads both sentences in one pass and trains a new head; `bi` reads each alone, and
    #: the score is the cosine of the two vectors that the model's own pooling makes of them.
    encoder: Encoder = "cross"
    #: Of `bi`: `mse` between cosine and label, scaled to [0, 1]; `cosent` counts the order alone.
    loss: Literal["mse", "cosent"] = "mse"
    #: `similarity` scores two sentences, `regression` one or two; `classification` says which of
    #: `data.classes` one or two sentences belong to, and trains with cross entropy.
    kind: Kind = "similarity"
    #: What runs are ranked by on dev, the higher the better: `pearson` or `spearman` of scores;
    #: `accuracy`, `macro_f1` or `mcc` of classes; or `module:function` of your own, which is
    #: called with labels `[N]` and predictions `[N]` (numbers of classes in `data.classes`).
    metric: str = "pearson"

    @property
    def of_classes(self) -> bool:
        return self.kind == "classification"

    @cached_property
    def measure(self) -> Metric:
        """The metric.

        Raises:
            KeyError: there is none of this name.
        """
        return metric_named(self.metric, of_classes=self.of_classes)

    @property
    def identity(self) -> dict[str, Any]:
        """What of it makes another config; empty of the task that there was at first."""
        found: dict[str, Any] = {}
        if self.encoder != "cross":
            # The loss of a cross-encoder follows from what it answers.
            found |= {"encoder": self.encoder, "loss": self.loss}
        if self.of_classes:
            found["kind"] = self.kind
        if self.metric != PEARSON.name:
            found["metric"] = self.metric
        return found
