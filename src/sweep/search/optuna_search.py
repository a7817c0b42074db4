"""The Optuna study behind the `Search` port.

A grid is queued with `enqueue_trial` and counted here: Optuna's `GridSampler` takes a failed
cell for visited and raises on the last `tell` of an ask/tell loop. Samplers are asked. Trials
that a killed driver left RUNNING are taken up again under their number, so nothing is lost and
nothing is tried twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweep.core.recipe import fingerprint
from sweep.loop.objectives import PEARSON, Objective, Value
from sweep.loop.trial import Trial
from sweep.search.samplers import Pruner, Sampler, make_pruner, make_sampler
from sweep.search.study_db import (
    ADDED,
    CUT_AT,
    EXCESS,
    is_left_out,
    left_out,
    open_study,
    point_of,
    suggest,
    too_large,
)
from sweep.space.space import Params, Space
from sweep.study.notes import added_points

#: States that hold a point: it is scored, under way, or queued.
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)
_TRIED = (*_DONE, TrialState.RUNNING)
_HELD = (*_TRIED, TrialState.WAITING)
#: Draws in a row that do not fit: after so many they are random, after so many the search ends.
_PATIENCE, _MOST_DRAWS = 10, 200


class OptunaSearch:
    """Chooses configs through one Optuna study in `study.db`.

    Args:
        path: SQLite file; opens in optuna-dashboard.
        name: Name of the study.
        space: What is searched.
        sampler: `grid` visits every cell; the others draw `num_trials` in total, or fewer where
            that uses the space up.
        num_trials: Scored configs in total, over all starts; ignored by a grid.
        seeds: Seeds that a trial's value is the mean over; other seeds are other values.
        sampler_seed: Seed of the sampler.
        pruner: Ends trials early on the strength of what `report` was told; `halving` is the
            loop's, which sees all configs at once.
        reduction: Of `asha`: the best 1 in so many goes on.
        grace: Of `asha`: evaluations before the first cut.
        objectives: What a trial's value is made of; with several, nothing is pruned.
        first: Points that are tried before all others.
        cost: Of a point; the cells of a grid are queued most expensive first.
        excess: MB that a point takes beyond the limit. Above 0 it is kept as a pruned trial with
            an Optuna constraint, which TPE learns from; it is not trained, and not counted.

    Attributes:
        infeasible: The points that this start has left out, and their excess.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        space: Space,
        sampler: Sampler,
        num_trials: int,
        seeds: Sequence[int] = (0,),
        sampler_seed: int = 0,
        pruner: Pruner = "none",
        reduction: int = 3,
        grace: int = 1,
        objectives: Sequence[Objective] = (PEARSON,),
        first: Sequence[Params] = (),
        cost: Callable[[Params], float] = lambda params: 0.0,
        excess: Callable[[Params], float] = lambda params: 0.0,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        # Hyperband chooses a trial's bracket, and so where its rungs are, by the study's name.
        lasting = pruner != "hyperband"
        self._study = open_study(path, name, space, seeds, objectives, rungs_last=lasting)
        trials = self._study.get_trials(deepcopy=False)
        # A fixed seed would replay its draws after a restart: the number of trials moves it on.
        # A quasi-random sequence keeps its own place in the study, under one seed.
        moved = 0 if sampler == "qmc" else len(trials)
        self._sampler, self._random = (
            make_sampler(kind, space, seed=sampler_seed + moved, num_trials=num_trials)
            for kind in (sampler, "random")
        )
        self._study.sampler = self._sampler
        self._study.pruner = make_pruner(pruner, reduction=reduction, grace=grace)
        self._adopted = deque(self._adopt(trials))
        self._excess = excess
        self.infeasible: list[tuple[Params, float]] = []
        grid = sorted(space.grid(), key=cost, reverse=True) if sampler == "grid" else None
        self._draws = grid is None
        if grid is not None:
            grid = self._fitting(grid)
        self._folder = path.parent
        self._added = {
            fingerprint(point_of(t))
            for t in trials
            if t.user_attrs.get(ADDED) and not is_left_out(t)
        }
        self._enqueue([*first, *(_failed_points(trials) if grid is None else grid)])
        if grid is None:
            self._budget = num_trials + len(self._added)
            self._asked = sum(map(_is_done, trials))
        else:
            # What is done need not be one of them: another space may have been searched before.
            cells = {fingerprint(cell) for cell in grid}
            self._added &= cells
            self._budget, self._asked = len(cells), len(cells & _done_points(trials))
        self._take_up_added()
        self._prunes = len(objectives) == 1
        #: By trial, the steps of the evaluations that this start was told of, in their order.
        self._steps: dict[int, list[int]] = {}
        #: Points that are scored or under way.
        self._tried = {
            fingerprint(point_of(t))
            for t in trials
            # Of one that was killed in the middle of an ask, the point is not known yet.
            if t.state in _TRIED and space.holds(point_of(t)) and not is_left_out(t)
        }
        #: Draws in a row that did not fit.
        self._misses = 0
        # Cells of a grid may be queued that do not fit any more: these are no draws.
        self._most_misses = _MOST_DRAWS + len(self.infeasible)

    @property
    def num_trials(self) -> int:
        return min(self._budget, self._space.num_points or self._budget)

    @property
    def is_used_up(self) -> bool:
        """Whether every point of the space has been drawn, before the budget was spent."""
        is_short = self._draws and self._asked < self._budget
        return is_short and len(self._tried) == self._space.num_points

    def ask(self) -> Trial | None:
        self._take_up_added()
        while self._asked < self._budget and (self._adopted or not self.is_used_up):
            if self._misses >= self._most_misses:
                return None
            trial = self._next()
            self._tried.add(fingerprint(trial.params))
            excess = self._excess(trial.params)
            if excess <= 0:
                self._misses = 0
                self._asked += 1
                return trial
            self._misses += 1
            self._leave_out(trial, excess)
        return None

    def _next(self) -> Trial:
        if self._adopted:
            return self._adopted.popleft()
        # A sampler that does not learn from what is left out would draw the same again and again.
        self._study.sampler = self._random if self._misses >= _PATIENCE else self._sampler
        trial = suggest(self._study.ask(), self._space)
        self._study.sampler = self._sampler
        return trial

    def _leave_out(self, trial: Trial, excess: float) -> None:
        self.infeasible.append((trial.params, excess))
        self._trial(trial.number).set_constraint(EXCESS, excess)
        self.tell(trial.number, None, too_large(excess), pruned=True)
        if fingerprint(trial.params) in self._added:
            self._added.discard(fingerprint(trial.params))
            self._budget -= 1

    def _fitting(self, cells: Sequence[Params]) -> list[Params]:
        """The cells that fit; the others are noted in the study, once.

        What is done fits: it is not trained again.
        """
        trials = self._study.get_trials(deepcopy=False)
        noted = {fingerprint(point_of(t)) for t in trials if is_left_out(t)}
        done = _done_points(trials)
        fitting = []
        for cell in cells:
            excess = 0.0 if fingerprint(cell) in done else self._excess(cell)
            if excess <= 0:
                fitting.append(cell)
                continue
            self.infeasible.append((cell, excess))
            if fingerprint(cell) not in noted:
                self._study.add_trial(left_out(cell, self._space, excess))
        return fitting

    def report(self, number: int, step: int, value: float) -> bool:
        if not self._prunes:
            return False
        evaluation = self._number_of_evaluation(number, step)
        known = self._study.get_trials(deepcopy=False)[number]
        if evaluation in known.intermediate_values:
            # A run that goes on from its rung reports its evaluations again: what was decided
            # then stands, since a pruner that has noted a rung does not look at it again.
            return bool(known.user_attrs.get(CUT_AT) == evaluation)
        trial = self._trial(number)
        trial.report(value, evaluation)
        is_cut = trial.should_prune()
        if is_cut:
            trial.set_user_attr(CUT_AT, evaluation)
        return is_cut

    def _number_of_evaluation(self, number: int, step: int) -> int:
        """1, 2, 3, ...: also after a restart a run reports all of its evaluations, in order."""
        steps = self._steps.setdefault(number, [])
        if step not in steps:
            steps.append(step)
        return steps.index(step) + 1

    def tell(
        self, number: int, value: Value | None, reason: str | None = None, *, pruned: bool = False
    ) -> None:
        if reason:
            self._trial(number).set_user_attr("reason", reason)
        if value is None:
            self._study.tell(number, state=TrialState.PRUNED if pruned else TrialState.FAIL)
        else:
            self._study.tell(number, value)

    def _adopt(self, trials: Sequence[FrozenTrial]) -> list[Trial]:
        """Take up the trials that an earlier driver left open, under their numbers.

        A driver killed in the middle of an ask leaves a trial with some of its parameters; the
        missing ones are suggested now (of a queued point: those it was queued with).
        """
        return [
            suggest(optuna.trial.Trial(self._study, trial._trial_id), self._space)
            for trial in trials
            if trial.state is TrialState.RUNNING
        ]

    def _enqueue(self, points: Sequence[Params]) -> None:
        """Queue the points that no trial holds; those of failed trials are tried again."""
        held = {
            fingerprint(point_of(trial))
            for trial in self._study.get_trials(deepcopy=False)
            # What was left out is asked for again once there is room for it.
            if trial.state in _HELD
            and not (is_left_out(trial) and self._excess(point_of(trial)) <= 0)
        }
        for name, point in {fingerprint(point): point for point in points}.items():
            if name not in held:
                marked = {ADDED: True} if name in self._added else None
                self._study.enqueue_trial(point, user_attrs=marked)

    def _take_up_added(self) -> None:
        """Queue what somebody has added by hand, beside `num_trials`; known points are dropped."""
        for note, point in added_points(self._folder):
            before = len(self._study.get_trials(deepcopy=False))
            self._added.add(fingerprint(point))
            self._enqueue([point])
            if len(self._study.get_trials(deepcopy=False)) > before:
                self._budget += 1
            else:
                self._added.discard(fingerprint(point))
            note.unlink(missing_ok=True)

    def _trial(self, number: int) -> optuna.trial.Trial:
        """Optuna's own trial, also of one that an earlier driver asked for."""
        trial_id = self._study.get_trials(deepcopy=False)[number]._trial_id
        return optuna.trial.Trial(self._study, trial_id)


def _is_done(trial: FrozenTrial) -> bool:
    return trial.state in _DONE and not is_left_out(trial)


def _done_points(trials: Sequence[FrozenTrial]) -> set[str]:
    return {fingerprint(point_of(trial)) for trial in trials if _is_done(trial)}


def _failed_points(trials: Sequence[FrozenTrial]) -> list[Params]:
    points = {fingerprint(point_of(t)): point_of(t) for t in trials if t.state is TrialState.FAIL}
    return [point for point in points.values() if point]
