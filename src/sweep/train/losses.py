"""What a run's training brings down: one number for each run of a pack."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sweep.core.task import Task

#: That a difference of cosines is multiplied with, as in sentence-transformers' `CoSENTLoss`.
_SCALE = 20.0


def losses(scores: Tensor, labels: Tensor, task: Task) -> Tensor:
    """`[K]` of the scores `[K, B]` of each run and the labels `[B]`, which lie in [0, 1].

    Of classes, scores are `[K, B, C]` and labels their numbers.
    """
    if task.of_classes:
        return _cross_entropy(scores, labels)
    if task.loss == "cosent":
        return _cosent(scores, labels)
    return (scores - labels).square().mean(1)


def _cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    wanted = labels.long().expand(scores.shape[:2])
    by_row = functional.cross_entropy(scores.transpose(1, 2), wanted, reduction="none")
    return by_row.mean(1)


def _cosent(scores: Tensor, labels: Tensor) -> Tensor:
    """log(1 + sum of exp(20 (s - s'))), over all two pairs of which s' ought to be the higher.

    Source: Su, "CoSENT: consistent sentence embedding via similarity ranking" (TASLP 2024).
    """
    gaps = _SCALE * (scores.unsqueeze(2) - scores.unsqueeze(1))
    ordered = labels.unsqueeze(1) < labels.unsqueeze(0)
    wrong = gaps.masked_fill(~ordered, -torch.inf).flatten(1)
    return torch.cat([wrong.new_zeros(len(wrong), 1), wrong], dim=1).logsumexp(1)
