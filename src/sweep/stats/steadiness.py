"""Configs that collapse on some seeds: a mean says little of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.special import chdtri, fdtri

#: Error of calling any config of a study unsteady.
_ERROR = 0.05
#: SD between seeds, in points of the score, that is too much whatever the other configs do.
_ROUGH = 0.05
#: And one that counts as steady: others may be steadier still.
_SLIGHT = 0.01
#: Digits of a score.
_MOST_DIGITS = 6


@dataclass(frozen=True)
class Unsteady:
    """How a config's seeds fall apart: `low` of its `seeds` lie below a round score."""

    low: int
    seeds: int
    below: float

    @property
    def words(self) -> str:
        """`3 of 6 seeds below 0.6`."""
        return f"{self.low} of {self.seeds} seeds below {self.below:g}"


def unsteady_configs(scores: Mapping[str, Sequence[float]]) -> dict[str, Unsteady]:
    """The configs whose seeds differ too much for sure, or more than those of the others do.

    Each is held against all that are steadier than itself (F), and against what is rough anywhere
    (chi squared), with the error shared out over the configs.

    Args:
        scores: Of each config, a score for each seed; one with a single seed is not judged.
    """
    several = {name: list(known) for name, known in scores.items() if len(known) > 1}
    spread = {name: variance(known) for name, known in several.items()}
    error = _ERROR / max(len(several), 1)
    return {
        name: _described(known)
        for name, known in several.items()
        if _is_rough(spread[name], len(known) - 1, error)
        or _is_unlike(name, spread, {n: len(k) - 1 for n, k in several.items()}, error)
    }


def _is_rough(spread: float, free: int, error: float) -> bool:
    least = spread * free / float(chdtri(free, error))
    return least > _ROUGH**2


def _is_unlike(
    name: str, spread: Mapping[str, float], free: Mapping[str, int], error: float
) -> bool:
    own = spread[name]
    steadier = [other for other in spread if other != name and spread[other] <= own]
    rest = sum(free[other] for other in steadier)
    if not rest:
        return False
    pooled = sum(spread[other] * free[other] for other in steadier) / rest
    return own > float(fdtri(free[name], rest, 1 - error)) * max(pooled, _SLIGHT**2)


def _described(scores: Sequence[float]) -> Unsteady:
    """The roundest number between the lowest and the highest score, nearest to their mean."""
    low, high, mean = min(scores), max(scores), fmean(scores)
    rounded = (round(mean, digits) for digits in range(1, _MOST_DIGITS))
    below = next((number for number in rounded if low < number <= high), mean)
    return Unsteady(sum(score < below for score in scores), len(scores), below)
