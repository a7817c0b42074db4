"""A design for effects: labels and numbers evenly mixed, then learning rates around the best ones.

The first half of the trials is a scrambled Sobol' sequence over labels and ranges alike, so that
nothing goes with anything else. In the second half the sequence goes on, but its learning rates lie
within a decade around the best rate of the point's own rank and alpha rule, by the scores so far:
the far ends have said what they can. All ranks stay equally often.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from sweep.core.arrays import Floats
from sweep.core.recipe import Recipe
from sweep.search.trials import distribution, point_of
from sweep.space.dimensions import Choices, Dimension, Params, Place, Range
from sweep.space.space import Space
from sweep.stats.own_rates import OwnRates, own_rates
from sweep.stats.rank_law import Adapter, rules_of
from sweep.stats.rate_table import Scored
from sweep.study.own_rates import adapter_of

_RATE, _TARGETS = "trainer.learning_rate", "lora.target_modules"
#: From the best rate to either end of the second stage's: half a decade.
_REACH = math.sqrt(10)


class StagedSampler(optuna.samplers.BaseSampler):
    """Evenly mixed points, then rates around the best.

    Args:
        space: What is searched; dimensions that do not count at a point are drawn and not used.
        seed: Scrambles the sequence; a trial's number is its place in it, also after a restart.
        num_trials: Of both stages.
        recipe: Of a point; without it there is no second stage.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        num_trials: int,
        recipe: Callable[[Params], Recipe] | None = None,
    ) -> None:
        self._dimensions = space.dimensions
        self._first_stage = num_trials // 2
        self._recipe = recipe
        self._random = optuna.samplers.RandomSampler(seed=seed)
        self._sequence = qmc.Sobol(max(len(space.dimensions), 1), rng=seed)
        self._drawn = np.empty((0, max(len(space.dimensions), 1)))
        self._scored: dict[int, Scored] = {}
        #: Number of scores, and the best rates by them.
        self._known: tuple[int, OwnRates | None] = (0, None)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {dimension.name: distribution(dimension) for dimension in self._dimensions}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        row = self._row(trial.number)
        point = {d.name: _place(d, u) for d, u in zip(self._dimensions, row, strict=True)}
        rate = next((d for d in self._dimensions if d.name == _RATE), None)
        if trial.number < self._first_stage or not isinstance(rate, Range):
            return point
        best = self._best_rate(study, point)
        if best is None:
            return point
        low, high = max(rate.low, best / _REACH), min(rate.high, best * _REACH)
        u = float(row[self._dimensions.index(rate)])
        return {**point, _RATE: _number(rate, u, low, high)} if low < high else point

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _row(self, number: int) -> Floats:
        if number >= len(self._drawn):
            # Powers of two keep the balance of the sequence.
            more = max(64, 2 ** (number + 1 - len(self._drawn)).bit_length())
            self._drawn = np.vstack([self._drawn, self._sequence.random(more)])
        return np.asarray(self._drawn[number])

    def _best_rate(self, study: optuna.Study, point: Params) -> float | None:
        """Of the point's rank and alpha rule, by the scores so far; None where not known."""
        if self._recipe is None:
            return None
        told = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        for trial in told:
            if trial.number not in self._scored:
                recipe = self._recipe(point_of(trial))
                self._scored[trial.number] = _scored(recipe, trial.values[0])
        configs = list(self._scored.values())
        if len(configs) != self._known[0]:
            self._known = len(configs), own_rates(configs, moving=(_TARGETS,))
        found = self._known[1]
        if found is None:
            return None
        adapter = adapter_of(self._recipe(point).lora)
        rates = _rates_for(adapter, found, [config.adapter for config in configs])
        return math.exp(float(np.mean(np.log(rates)))) if rates else None


def _rates_for(adapter: Adapter, found: OwnRates, tried: list[Adapter]) -> list[float]:
    """Best rates of its rank, under the rules that it follows."""
    rules = {rule.name for rule in rules_of(tried) if rule.holds(adapter)}
    return [
        best.rate.value
        for best in found.rates
        if best.rule in rules and best.rank == str(adapter.rank)
    ]


def _scored(recipe: Recipe, score: float) -> Scored:
    targets = {_TARGETS: recipe.lora.targets_label}
    return Scored(adapter_of(recipe.lora), recipe.trainer.learning_rate, score, targets)


def _place(dimension: Dimension, u: float) -> Place:
    """The place on a dimension that a number from 0 to 1 stands for."""
    if isinstance(dimension, Choices):
        return dimension.labels[min(int(u * len(dimension.labels)), len(dimension.labels) - 1)]
    return _number(dimension, u, dimension.low, dimension.high)


def _number(dimension: Range, u: float, low: float, high: float) -> int | float:
    if dimension.log:
        number = math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    else:
        number = low + u * (high - low)
    return dimension.place(min(max(number, low), high))
