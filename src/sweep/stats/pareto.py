"""Pareto fronts: what trades one measurement against another."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(
    points: Sequence[Sequence[float]], *, larger_is_better: Sequence[bool]
) -> list[bool]:
    """Whether no other point is at least as good everywhere and better somewhere.

    Args:
        points: Values of each measurement; a point with NaN is on no front.
        larger_is_better: Of each measurement.
    """
    signs = [1.0 if larger else -1.0 for larger in larger_is_better]
    gains = [[s * v for s, v in zip(signs, point, strict=True)] for point in points]
    known = [all(g == g for g in gain) for gain in gains]
    return [
        is_known
        and not any(
            other_known and all(o >= g for o, g in zip(other, gain, strict=True)) and other != gain
            for other, other_known in zip(gains, known, strict=True)
        )
        for gain, is_known in zip(gains, known, strict=True)
    ]
