"""The Optuna study behind the `Search` port.

A grid is queued with `enqueue_trial` and counted here: Optuna's `GridSampler` takes a failed
cell for visited and raises on the last `tell` of an ask/tell loop. Samplers are asked. Trials
that a killed driver left RUNNING are taken up again under their number, so nothing is lost and
nothing is tried twice.
"""

from __future__ import annotations

import logging
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from sweep.core.added import added_points
from sweep.core.recipe import fingerprint
from sweep.core.space import Choices, Dimension, Params, Space
from sweep.core.trial import Trial

logger = logging.getLogger(__name__)

Sampler = Literal["grid", "random", "qmc", "tpe", "gp"]
Pruner = Literal["none", "median", "percentile", "halving", "asha", "hyperband"]

#: Trials that the median and percentile pruners see to their end before they cut any.
_FIRST_WHOLE = 4
#: Marks a trial that was added by hand and comes on top of `num_trials`.
_ADDED = "added"
#: States that hold a point: it is scored, under way, or queued.
_HELD = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


class OptunaSearch:
    """Chooses configs through one Optuna study in `study.db`.

    Args:
        path: SQLite file; opens in optuna-dashboard.
        name: Name of the study.
        space: What is searched.
        sampler: `grid` visits every cell; `random` and `tpe` draw `num_trials` in total.
        num_trials: Scored configs in total, over all starts; ignored by a grid.
        seeds: Seeds that a trial's value is the mean over; other seeds are other values.
        sampler_seed: Seed of the sampler.
        pruner: Ends trials early on the strength of what `report` was told; `halving` is the
            loop's, which sees all configs at once.
        reduction: Of `asha`.
        cost: Of a point; the cells of a grid are queued dearest first.
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
        cost: Callable[[Params], float] = lambda params: 0.0,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions = {d.name: _distribution(d) for d in space.dimensions}
        self._study = _open_study(path, name, self._distributions, seeds)
        trials = self._study.get_trials(deepcopy=False)
        # A fixed seed would replay its draws after a restart: the number of trials moves it on.
        # A quasi-random sequence keeps its own place in the study, under one seed.
        moved = 0 if sampler == "qmc" else len(trials)
        self._study.sampler = _sampler(sampler, seed=sampler_seed + moved)
        self._study.pruner = _pruner(pruner, reduction)
        self._adopted = deque(self._adopt(trials))
        grid = sorted(space.grid(), key=cost, reverse=True) if sampler == "grid" else None
        self._folder = path.parent
        self._added = {fingerprint(_point(t)) for t in trials if t.user_attrs.get(_ADDED)}
        self._enqueue(_failed_points(trials) if grid is None else grid)
        self._budget = (num_trials if grid is None else len(grid)) + len(self._added)
        self._take_up_added()
        self._asked = self._num_complete()

    @property
    def num_trials(self) -> int:
        return self._budget

    def ask(self) -> Trial | None:
        self._take_up_added()
        if self._asked >= self._budget:
            return None
        self._asked += 1
        if self._adopted:
            return self._adopted.popleft()
        trial = self._study.ask(fixed_distributions=self._distributions)
        return Trial(trial.number, dict(trial.params))

    def report(self, number: int, step: int, value: float) -> bool:
        trial = self._trial(number)
        known = self._study.get_trials(deepcopy=False)[number].intermediate_values
        # A run that goes on from its rung reports its evaluations again.
        if step not in known:
            trial.report(value, step)
        return trial.should_prune()

    def tell(
        self, number: int, value: float | None, reason: str | None = None, *, pruned: bool = False
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
        adopted = []
        for frozen in trials:
            if frozen.state is TrialState.RUNNING:
                trial = optuna.trial.Trial(self._study, frozen._trial_id)
                for name, distribution in self._distributions.items():
                    _suggest(trial, name, distribution)
                adopted.append(Trial(trial.number, dict(trial.params)))
        return adopted

    def _enqueue(self, points: Sequence[Params]) -> None:
        """Queue the points that no trial holds; those of failed trials are tried again."""
        held = {
            fingerprint(_point(trial))
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state in _HELD
        }
        for point in points:
            if fingerprint(point) not in held:
                marked = {_ADDED: True} if fingerprint(point) in self._added else None
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

    def _num_complete(self) -> int:
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        return len(self._study.get_trials(deepcopy=False, states=states))

    def _trial(self, number: int) -> optuna.trial.Trial:
        """Optuna's own trial, also of one that an earlier driver asked for."""
        trial_id = self._study.get_trials(deepcopy=False)[number]._trial_id
        return optuna.trial.Trial(self._study, trial_id)


def _suggest(trial: optuna.trial.Trial, name: str, distribution: BaseDistribution) -> None:
    d = distribution
    if isinstance(d, CategoricalDistribution):
        trial.suggest_categorical(name, d.choices)
    elif isinstance(d, IntDistribution):
        trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log)
    elif isinstance(d, FloatDistribution):
        trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log)


def _point(trial: FrozenTrial) -> Params:
    """The trial's parameters; those of a queued trial are still to be suggested."""
    queued: dict[str, Any] = trial.system_attrs.get("fixed_params", {})
    return dict(trial.params or queued)


def _failed_points(trials: Sequence[FrozenTrial]) -> list[Params]:
    points = {fingerprint(_point(t)): _point(t) for t in trials if t.state is TrialState.FAIL}
    return [point for point in points.values() if point]


def _sampler(kind: Sampler, *, seed: int) -> optuna.samplers.BaseSampler:
    if kind == "tpe":
        # Several configs are asked for before the first is told (arXiv:2304.11127, section 4).
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    if kind == "qmc":
        with warnings.catch_warnings():
            # That its interface may change is not the user's concern.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.QMCSampler(
                seed=seed, scramble=True, warn_independent_sampling=False
            )
    if kind == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def _pruner(kind: Pruner, reduction: int) -> optuna.pruners.BasePruner:
    """Optuna's own, with a few trials trained to the end before any is cut short."""
    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=_FIRST_WHOLE)
    if kind == "percentile":
        return optuna.pruners.PercentilePruner(25.0, n_startup_trials=_FIRST_WHOLE)
    if kind == "asha":
        # Asynchronous successive halving, arXiv:1810.05934.
        return optuna.pruners.SuccessiveHalvingPruner(reduction_factor=reduction)
    if kind == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.labels)
    if dimension.integer:
        low, high, step = int(dimension.low), int(dimension.high), int(dimension.step or 1)
        return IntDistribution(low, high, log=dimension.log, step=step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _commit_without_waiting(connection: Any, _: Any) -> None:
    """A commit survives the death of the driver; only a power cut may take the last ones along.

    Optuna commits nine times a trial, and the disk takes 2 ms to confirm each. What is done is
    decided by the records, not here.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _open_study(
    path: Path, name: str, distributions: dict[str, BaseDistribution], seeds: Sequence[int]
) -> optuna.Study:
    """The newest study of that name, or its successor when space or seeds have changed.

    Optuna refuses a categorical parameter whose choices change, so a grown space gets a study
    of its own (`name`, `name~2`, ...) with a copy of the old trials. The old one stays.
    """
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}
    )
    sqlalchemy.event.listen(storage.engine, "connect", _commit_without_waiting)
    layout = {"seeds": list(seeds), "space": {k: repr(d) for k, d in distributions.items()}}
    known = [
        s for s in optuna.get_all_study_summaries(storage) if s.study_name.partition("~")[0] == name
    ]
    # The layout is written last, so one without was not copied in full and does not count.
    whole = [s for s in known if "layout" in s.user_attrs]
    newest = max(whole, key=lambda s: _generation(s.study_name), default=None)
    if newest is not None and newest.user_attrs["layout"] == layout:
        return optuna.load_study(study_name=newest.study_name, storage=storage)

    generation = 1 + max((_generation(s.study_name) for s in known), default=0)
    study = optuna.create_study(
        study_name=name if generation == 1 else f"{name}~{generation}",
        storage=storage,
        direction="maximize",
    )
    if newest is not None:
        same_seeds = newest.user_attrs["layout"]["seeds"] == list(seeds)
        old = optuna.load_study(study_name=newest.study_name, storage=storage)
        for trial in old.get_trials(deepcopy=False):
            study.add_trial(_moved(trial, distributions, keep_value=same_seeds))
    study.set_user_attr("layout", layout)
    return study


def _generation(study_name: str) -> int:
    return int(study_name.partition("~")[2] or 1)


def _moved(
    trial: FrozenTrial, distributions: dict[str, BaseDistribution], *, keep_value: bool
) -> FrozenTrial:
    """The trial in another space, under the same number.

    Without its value it counts as failed: the search asks for its point again, and the loop
    finds the finished runs in their records instead of training them.
    """
    point = _point(trial)
    fits = set(point) == set(distributions) and all(
        _holds(distributions[name], value) for name, value in point.items()
    )
    if not fits:
        return optuna.trial.create_trial(
            state=TrialState.FAIL, user_attrs={"reason": "its point is not in the new space"}
        )
    if keep_value and trial.state is TrialState.COMPLETE:
        return optuna.trial.create_trial(
            params=point,
            distributions=distributions,
            value=trial.value,
            user_attrs=trial.user_attrs,
        )
    return optuna.trial.create_trial(
        state=TrialState.FAIL,
        params=point,
        distributions=distributions,
        user_attrs={_ADDED: True} if trial.user_attrs.get(_ADDED) else {},
    )


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if isinstance(distribution, (FloatDistribution, IntDistribution)):
        return not isinstance(value, str) and distribution.low <= value <= distribution.high
    return False
