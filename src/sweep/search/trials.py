"""Optuna's trials as the program sees them: their points, and what they count as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from sweep.core.fingerprint import fingerprint
from sweep.loop.trial import Trial
from sweep.space.dimensions import Choices, Dimension, Params, Place, is_active, snapped
from sweep.space.space import Space

#: Optuna's constraint on trials that are left out: MB beyond the limit.
EXCESS = "excess_memory_mb"
#: Marks a trial that was added by hand and comes on top of `num_trials`.
ADDED = "added"
#: The evaluation at which the pruner wanted to end a trial.
CUT_AT = "cut_at_evaluation"
#: States that hold a point: it is scored, under way, or queued.
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)
_TRIED = (*_DONE, TrialState.RUNNING)
_HELD = (*_TRIED, TrialState.WAITING)


def suggest(trial: optuna.trial.Trial, space: Space) -> Trial:
    """Draw what is still missing of a trial's point, dimension by dimension."""
    params: Params = {}
    for dimension in space.dimensions:
        if is_active(dimension, params):
            params[dimension.name] = _suggest(trial, dimension)
    return Trial(trial.number, params)


def point_of(trial: FrozenTrial) -> Params:
    """The trial's parameters; those of a queued trial are still to be suggested."""
    queued: dict[str, Any] = trial.system_attrs.get("fixed_params", {})
    drawn = {
        name: _on_grid(value, trial.distributions[name]) for name, value in trial.params.items()
    }
    return drawn or dict(queued)


def _suggest(trial: optuna.trial.Trial, dimension: Dimension) -> Place:
    d = distribution(dimension)
    if isinstance(d, CategoricalDistribution):
        return cast(str, trial.suggest_categorical(dimension.name, d.choices))
    if isinstance(d, IntDistribution):
        return trial.suggest_int(dimension.name, d.low, d.high, step=d.step, log=d.log)
    number = trial.suggest_float(dimension.name, d.low, d.high, step=d.step, log=d.log)
    return _on_grid(number, d)


def _on_grid(place: Place, d: BaseDistribution) -> Place:
    """The place as a grid has it: Optuna keeps the rounding error of its own arithmetic."""
    if isinstance(d, FloatDistribution) and d.step is not None:
        return snapped(float(place), low=d.low, high=d.high, step=d.step)
    return place


def distribution(
    dimension: Dimension,
) -> CategoricalDistribution | IntDistribution | FloatDistribution:
    """Optuna's word for a dimension."""
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.labels)
    if dimension.integer:
        low, high, step = int(dimension.low), int(dimension.high), int(dimension.step or 1)
        return IntDistribution(low, high, log=dimension.log, step=step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def left_out(point: Params, space: Space, excess: float) -> FrozenTrial:
    """A trial that is not trained, because it takes so many MB more than there are."""
    return optuna.trial.create_trial(
        state=TrialState.PRUNED,
        params=point,
        distributions={d.name: distribution(d) for d in space.dimensions if d.name in point},
        constraints={EXCESS: excess},
        user_attrs={"reason": too_large(excess)},
    )


def is_left_out(trial: FrozenTrial) -> bool:
    return trial.constraints.get(EXCESS, 0.0) > 0


def too_large(excess: float) -> str:
    """Why a trial is left out."""
    return f"too large by {excess:,.0f} MB"


def is_done(trial: FrozenTrial) -> bool:
    return trial.state in _DONE and not is_left_out(trial)


def is_held(trial: FrozenTrial) -> bool:
    """Whether its point is scored, left out, under way or queued."""
    return trial.state in _HELD


def name_of(trial: FrozenTrial) -> str:
    """The fingerprint of its point."""
    return fingerprint(point_of(trial))


def done_points(trials: Sequence[FrozenTrial]) -> set[str]:
    return {name_of(trial) for trial in trials if is_done(trial)}


def added_points(trials: Sequence[FrozenTrial]) -> set[str]:
    """Those that somebody added by hand."""
    return {name_of(t) for t in trials if t.user_attrs.get(ADDED) and not is_left_out(t)}


def tried_points(trials: Sequence[FrozenTrial], space: Space) -> set[str]:
    """Those of the space that are scored or under way."""
    # Of one that was killed in the middle of an ask, the point is not known yet.
    tried = [t for t in trials if t.state in _TRIED and not is_left_out(t)]
    return {name_of(trial) for trial in tried if space.holds(point_of(trial))}


def failed_points(trials: Sequence[FrozenTrial]) -> list[Params]:
    points = {name_of(trial): point_of(trial) for trial in trials if trial.state is TrialState.FAIL}
    return [point for point in points.values() if point]


def open_trial(study: optuna.Study, number: int) -> optuna.trial.Trial:
    """Optuna's own trial, also of one that an earlier driver asked for."""
    return opened(study, study.get_trials(deepcopy=False)[number])


def opened(study: optuna.Study, trial: FrozenTrial) -> optuna.trial.Trial:
    """The same where the trial has been read: to read all of them again takes as long as the rest
    of a report."""
    return optuna.trial.Trial(study, trial._trial_id)
