"""Scores on a small part of dev between evaluations, so that people see early what comes of a run.

They decide nothing: neither which adapter is kept, nor what is pruned or best.
"""

from __future__ import annotations

import math

import numpy as np

from sweep.core.arrays import Floats

#: Pairs of a glimpse; dev has at least eight times as many, else its evaluations are quick anyway.
_PAIRS = 32
#: Shares of the training: one in sixteen for the first, then every eighth.
_SHARES = (1 / 16, *(eighth / 8 for eighth in range(1, 8)))
#: Trainings of fewer steps are over soon.
_FEWEST_STEPS = 48


def glimpse_steps(steps: int) -> frozenset[int]:
    """Steps of a training of so many at which there is a glimpse, unless dev is scored there."""
    if steps < _FEWEST_STEPS:
        return frozenset()
    return frozenset(math.ceil(share * steps) for share in _SHARES)


def glimpsed_pairs(labels: Floats) -> list[int]:
    """Places among labels `[N]`: a few that are spread as all are; none of a small dev."""
    if len(labels) < 8 * _PAIRS:
        return []
    middles = (np.arange(_PAIRS) + 0.5) * len(labels) / _PAIRS
    places: list[int] = np.argsort(labels, kind="stable")[middles.astype(int)].tolist()
    return sorted(places)


def glimpsed_share(num_pairs: int) -> float:
    """What a glimpse takes of the time of an evaluation of so many pairs."""
    return _PAIRS / num_pairs if num_pairs >= 8 * _PAIRS else 0.0
