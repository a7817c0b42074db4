"""Objectives: what a trial is worth, and which points nothing else beats."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.core.errors import ConfigError
from sweep.loop.objectives import PEARSON, pareto_front, parse_objectives, value_of
from sweep.loop.trial import Outcome, RunState

BOTH = parse_objectives(["pearson:max", "lora_params:min"])


def outcome(pearson: float | None, params: int | None = 10) -> Outcome:
    state = RunState.FAILED if pearson is None else RunState.COMPLETE
    return Outcome(state, pearson=pearson, lora_params=params)


def test_value_is_the_mean_over_scored_runs_of_each_objective() -> None:
    runs = [outcome(0.5), outcome(0.7, 30), outcome(None, 1000)]
    assert value_of(runs, [PEARSON]) == pytest.approx(0.6)
    assert value_of(runs, BOTH) == pytest.approx((0.6, 20))


def test_what_was_not_measured_has_no_value() -> None:
    assert value_of([outcome(None)], BOTH) is None
    assert value_of([outcome(0.5, None)], BOTH) is None
    assert value_of([], [PEARSON]) is None


@pytest.mark.parametrize(
    "texts", [[], ["lora_params:min"], ["pearson:max", "pearson:max"], ["pearson"], ["speed:max"]]
)
def test_objectives_without_sense_are_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"search\.objectives"):
        parse_objectives(texts)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_front_is_never_empty_and_beats_everything_else(points: list[tuple[int, int]]) -> None:
    front = pareto_front(points, BOTH)
    chosen = [p for p, is_on in zip(points, front, strict=True) if is_on]
    assert chosen
    for (score, size), is_on in zip(points, front, strict=True):
        beaten = [o for o in points if o[0] >= score and o[1] <= size and o != (score, size)]
        assert is_on == (not beaten)


def test_unmeasured_point_is_on_no_front_and_beats_none() -> None:
    assert pareto_front([(0.9, math.nan), (0.5, 10)], BOTH) == [False, True]
