"""The Optuna study behind the `Search` port.

A grid is queued with `enqueue_trial` and counted here: Optuna's `GridSampler` takes a failed
cell for visited and raises on the last `tell` of an ask/tell loop. Samplers are asked. Trials
that a killed driver left RUNNING are taken up again under their number, so nothing is lost and
nothing is tried twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweep.core.fingerprint import fingerprint
from sweep.loop.objectives import Value
from sweep.loop.trial import Trial
from sweep.search.drawing import Drawing
from sweep.search.rungs import Rungs
from sweep.search.samplers import make_pruner
from sweep.search.study_db import open_study
from sweep.search.task import SearchTask
from sweep.search.trials import (
    ADDED,
    EXCESS,
    added_points,
    done_points,
    failed_points,
    is_done,
    is_held,
    is_left_out,
    left_out,
    name_of,
    open_trial,
    opened,
    point_of,
    suggest,
    too_large,
    tried_points,
)
from sweep.space.space import Params
from sweep.study import notes


class OptunaSearch:
    """Chooses configs through one Optuna study.

    Args:
        path: SQLite file, `study.db`; opens in optuna-dashboard. Its folder holds the notes of
            configs that are added by hand.
        task: What is searched, how, and for how long.

    Attributes:
        infeasible: The points that this start has left out, and their excess.
    """

    def __init__(self, path: Path, task: SearchTask) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._task = task
        self._folder = path.parent
        self._study = _opened(path, task)
        trials = self._study.get_trials(deepcopy=False)
        self._drawing = Drawing(self._study, task, num_trials=len(trials))
        self._rungs = Rungs(self._study)
        self._adopted = deque(self._adopt(trials))
        self._added = added_points(trials)
        self.infeasible: list[tuple[Params, float]] = []
        self._budget, self._asked = self._queue(trials)
        self._drawing.num_unfit_cells = len(self.infeasible)
        self._take_up_added()
        self._tried = tried_points(trials, task.space)

    @property
    def num_trials(self) -> int:
        return min(self._budget, self._task.space.num_points or self._budget)

    @property
    def is_used_up(self) -> bool:
        """Whether every point of the space has been drawn, before the budget was spent."""
        is_short = not self._task.is_grid and self._asked < self._budget
        return is_short and len(self._tried) == self._task.space.num_points

    def told(self) -> list[Trial]:
        """Trials that are done, by an earlier driver or by this one; nobody asks for them again."""
        done = [t for t in self._study.get_trials(deepcopy=False) if is_done(t)]
        found = [Trial(trial.number, point_of(trial)) for trial in done]
        return [trial for trial in found if self._task.space.holds(trial.params)]

    def ask(self) -> Trial | None:
        self._take_up_added()
        while self._asked < self._budget and (self._adopted or not self.is_used_up):
            if self._drawing.is_hopeless:
                return None
            trial = self._adopted.popleft() if self._adopted else self._drawing.next()
            self._tried.add(fingerprint(trial.params))
            excess = self._task.excess(trial.params)
            self._drawing.note(fits=excess <= 0)
            if excess <= 0:
                self._asked += 1
                return trial
            self._leave_out(trial, excess)
        return None

    def report(self, number: int, step: int, value: float) -> bool:
        # With several objectives a weak score may be worth its low cost.
        return len(self._task.objectives) == 1 and self._rungs.report(number, step, value)

    def tell(
        self, number: int, value: Value | None, reason: str | None = None, *, pruned: bool = False
    ) -> None:
        self._note_names(number)
        if reason:
            open_trial(self._study, number).set_user_attr("reason", reason)
        if value is None:
            self._study.tell(number, state=TrialState.PRUNED if pruned else TrialState.FAIL)
        else:
            self._study.tell(number, value)

    def note_ranking(self, lines: Sequence[str]) -> None:
        """Configs, best first, with their intervals: an attribute of the study, since a trial that
        has been told takes none, and a dashboard shows both."""
        self._study.set_user_attr("ranking", list(lines))

    def _note_names(self, number: int) -> None:
        """What a dashboard shows beside the labels of a trial: its config's name in every other
        place, and its targets. A trial that has been told takes no more notes."""
        if self._task.recipe is None:
            return
        known = self._study.get_trials(deepcopy=False)[number]
        recipe, trial = self._task.recipe(point_of(known)), opened(self._study, known)
        trial.set_user_attr("config_id", recipe.config_id)
        trial.set_user_attr("targets", recipe.lora.targets_label)

    def _adopt(self, trials: Sequence[FrozenTrial]) -> list[Trial]:
        """Take up the trials that an earlier driver left open, under their numbers.

        A driver killed in the middle of an ask leaves a trial with some of its parameters; the
        missing ones are suggested now (of a queued point: those it was queued with).
        """
        return [
            suggest(open_trial(self._study, trial.number), self._task.space)
            for trial in trials
            if trial.state is TrialState.RUNNING
        ]

    def _queue(self, trials: Sequence[FrozenTrial]) -> tuple[int, int]:
        """Queue what needs no sampler; returns the configs in total, and how many are done."""
        first = self._task.first
        if not self._task.is_grid:
            self._enqueue([*first, *failed_points(trials)])
            return self._task.num_trials + len(self._added), sum(map(is_done, trials))
        cells = self._fitting(self._task.cells)
        self._enqueue([*first, *cells])
        # What is done need not be one of them: another space may have been searched before.
        names = {fingerprint(cell) for cell in cells}
        self._added &= names
        return len(names), len(names & done_points(trials))

    def _fitting(self, cells: Sequence[Params]) -> list[Params]:
        """The cells that fit; the others are noted in the study, once.

        What is done fits: it is not trained again.
        """
        trials = self._study.get_trials(deepcopy=False)
        noted = {name_of(trial) for trial in trials if is_left_out(trial)}
        done = done_points(trials)
        fitting = []
        for cell in cells:
            excess = 0.0 if fingerprint(cell) in done else self._task.excess(cell)
            if excess <= 0:
                fitting.append(cell)
                continue
            self.infeasible.append((cell, excess))
            if fingerprint(cell) not in noted:
                self._study.add_trial(left_out(cell, self._task.space, excess))
        return fitting

    def _leave_out(self, trial: Trial, excess: float) -> None:
        self.infeasible.append((trial.params, excess))
        open_trial(self._study, trial.number).set_constraint(EXCESS, excess)
        self.tell(trial.number, None, too_large(excess), pruned=True)
        if fingerprint(trial.params) in self._added:
            self._added.discard(fingerprint(trial.params))
            self._budget -= 1

    def _enqueue(self, points: Sequence[Params]) -> int:
        """Queue the points that no trial holds, and say how many; failed ones are tried again."""
        trials = self._study.get_trials(deepcopy=False)
        held = {name_of(trial) for trial in trials if is_held(trial) and not self._fits_now(trial)}
        wanted = {fingerprint(point): point for point in points}
        new = {name: point for name, point in wanted.items() if name not in held}
        for name, point in new.items():
            marked = {ADDED: True} if name in self._added else None
            self._study.enqueue_trial(point, user_attrs=marked)
        return len(new)

    def _fits_now(self, trial: FrozenTrial) -> bool:
        """Whether what was left out has room by now: it is asked for again."""
        return is_left_out(trial) and self._task.excess(point_of(trial)) <= 0

    def _take_up_added(self) -> None:
        """Queue what somebody has added by hand, beside `num_trials`; known points are dropped."""
        for note, point in notes.added_points(self._folder):
            self._added.add(fingerprint(point))
            if self._enqueue([point]):
                self._budget += 1
            else:
                self._added.discard(fingerprint(point))
            note.unlink(missing_ok=True)


def _opened(path: Path, task: SearchTask) -> optuna.Study:
    """The study, with the pruner."""
    # Hyperband chooses a trial's bracket, and so where its rungs are, by the study's name.
    lasting = task.pruner != "hyperband"
    study = open_study(path, task.name, task.space, task.seeds, task.objectives, rungs_last=lasting)
    study.pruner = make_pruner(task.pruner, reduction=task.reduction, grace=task.grace)
    return study
