"""Pareto fronts."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sweep.stats.pareto import pareto_front

#: A score, and what it costs.
BOTH = (True, False)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_front_is_never_empty_and_beats_everything_else(points: list[tuple[int, int]]) -> None:
    front = pareto_front(points, larger_is_better=BOTH)
    chosen = [p for p, is_on in zip(points, front, strict=True) if is_on]
    assert chosen
    for (score, size), is_on in zip(points, front, strict=True):
        beaten = [o for o in points if o[0] >= score and o[1] <= size and o != (score, size)]
        assert is_on == (not beaten)


def test_unmeasured_point_is_on_no_front_and_beats_none() -> None:
    assert pareto_front([(0.9, math.nan), (0.5, 10)], larger_is_better=BOTH) == [False, True]
