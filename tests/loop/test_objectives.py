"""Objectives: what a trial is worth, and which points nothing else beats."""

from __future__ import annotations

import pytest

from sweep.core.errors import ConfigError
from sweep.loop.objectives import PEARSON, parse_objectives, value_of
from sweep.loop.trial import Outcome, RunState

BOTH = parse_objectives(["pearson:max", "lora_params:min"])


def outcome(pearson: float | None, params: int | None = 10) -> Outcome:
    state = RunState.FAILED if pearson is None else RunState.COMPLETE
    return Outcome(state, score=pearson, lora_params=params)


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
