"""The task: what a pair is scored by. A part of the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How a pair is scored: in one pass over both sentences, or by the cosine of their vectors.
Encoder = Literal["cross", "bi"]


@dataclass(frozen=True)
class Task:
    """What a pair is scored by."""

    #: `cross` reads both sentences in one pass and trains a new head; `bi` reads each alone, and
    #: the score is the cosine of the two vectors that the model's own pooling makes of them.
    encoder: Encoder = "cross"
    #: Of `bi`: `mse` between cosine and label, scaled to [0, 1]; `cosent` counts the order alone.
    loss: Literal["mse", "cosent"] = "mse"
