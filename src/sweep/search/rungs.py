"""What Optuna's pruner is told of the trials, rung by rung, and what it says."""

from __future__ import annotations

import optuna

from sweep.search.trials import CUT_AT, opened


class Rungs:
    """Reports evaluations under their number: 1, 2, 3, ..., whatever their steps are."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        #: By trial, the steps of the evaluations that this start was told of, in their order.
        self._steps: dict[int, list[int]] = {}

    def report(self, number: int, step: int, value: float) -> bool:
        """Note a trial's value; True where the pruner would end the trial here."""
        evaluation = self._number_of_evaluation(number, step)
        known = self._study.get_trials(deepcopy=False)[number]
        if evaluation in known.intermediate_values:
            # A run that goes on from its rung reports its evaluations again: what was decided
            # then stands, since a pruner that has noted a rung does not look at it again.
            return bool(known.user_attrs.get(CUT_AT) == evaluation)
        trial = opened(self._study, known)
        trial.report(value, evaluation)
        is_cut = trial.should_prune()
        if is_cut:
            trial.set_user_attr(CUT_AT, evaluation)
        return is_cut

    def _number_of_evaluation(self, number: int, step: int) -> int:
        """Also after a restart a run reports all of its evaluations, in order."""
        steps = self._steps.setdefault(number, [])
        if step not in steps:
            steps.append(step)
        return steps.index(step) + 1
