"""Successive halving over a whole pool: all wait at a rung, the best go on, packed anew.

Source: Jamieson & Talwalkar, Non-stochastic Best Arm Identification (2016), algorithm 1. Unlike
its asynchronous kin (arXiv:1810.05934), nothing is promoted before everything has been seen:
adapters are small, so waiting costs a file a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sweep.loop.trial import Evaluation, Outcome, Run


def promoted(curves: Mapping[str, Sequence[float]], *, level: int, reduction: int) -> set[str]:
    """The runs that go on from an evaluation: the best 1 in `reduction`, at least one.

    Args:
        curves: By run id, the scores of its evaluations; runs that have not reached this one
            are left out.
        level: Number of the evaluation, from 1.
    """
    reached = {name: scores[level - 1] for name, scores in curves.items() if len(scores) >= level}
    count = math.ceil(len(reached) / reduction)
    return set(sorted(reached, key=lambda name: -reached[name])[:count])


@dataclass(frozen=True)
class Promotion:
    """What becomes of the paused runs.

    Args:
        going_on: Runs to submit again, with the evaluation that they go to next.
        left: Runs that are not worth more, what they leave, and the step where they wait: runs of
            other batches or epochs come to the same evaluation at other steps.
    """

    going_on: list[Run]
    left: list[tuple[Run, Outcome, int]]


class Pool:
    """Curves of all runs, and those that wait at a rung.

    Runs stop at evaluation `grace`, at `reduction` times as many, and so on. What was cut, in
    this start or an earlier one, counts among those that a run is compared with: a decision taken
    again after an interruption is the same.

    Args:
        reduction: One in so many goes on; None pauses nothing.
        grace: Evaluations before the first cut.
    """

    def __init__(self, reduction: int | None, *, grace: int = 1) -> None:
        self._reduction = reduction
        self._grace = grace
        self._curves: dict[str, dict[int, float]] = {}
        self._paused: dict[str, tuple[Run, Outcome]] = {}

    def entering(self, run: Run) -> Run:
        """The run as it is to be submitted first."""
        return run if self._reduction is None else replace(run, until=self._grace)

    def note(self, run_id: str, evaluation: Evaluation) -> None:
        self._curves.setdefault(run_id, {})[evaluation.step] = evaluation.score

    def forget(self, run_id: str) -> None:
        """A run that failed takes nobody's place."""
        self._curves.pop(run_id, None)

    def pause(self, run: Run, outcome: Outcome) -> None:
        self._paused[run.id] = (run, outcome)

    def promote(self) -> Promotion | None:
        """Decide about the runs that wait at the lowest rung; None where none waits.

        Runs that are behind, because they came later, so come up to the others first.
        """
        if self._reduction is None or not self._paused:
            return None
        level = min(run.until or 1 for run, _ in self._paused.values())
        curves = {run_id: list(scores.values()) for run_id, scores in self._curves.items()}
        keep = promoted(curves, level=level, reduction=self._reduction)
        here = {name: pair for name, pair in self._paused.items() if pair[0].until == level}
        going_on = [
            replace(run, until=level * self._reduction)
            for name, (run, _) in here.items()
            if name in keep
        ]
        left = []
        for name, (run, outcome) in here.items():
            if name not in keep:
                step = outcome.evaluations[level - 1].step
                reason = f"not among the best {len(keep)} at step {step}"
                left.append((run, replace(outcome, reason=reason), step))
        self._paused = {name: pair for name, pair in self._paused.items() if name not in here}
        return Promotion(going_on, left)
