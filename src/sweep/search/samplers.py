"""Optuna's samplers and pruners, as the program uses them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import optuna

from sweep.core.recipe import Recipe
from sweep.search.staged import StagedSampler
from sweep.space.space import Params, Space

Sampler = Literal["grid", "random", "qmc", "staged", "tpe", "gp", "cmaes", "nsga2"]
Pruner = Literal["none", "median", "percentile", "halving", "asha", "hyperband"]

#: Trials that the median and percentile pruners see to their end before they cut any.
_FIRST_WHOLE = 4
#: Of NSGA-II: generations that a budget is shared out to.
_GENERATIONS = 5
_SMALLEST_POPULATION = 4


def make_sampler(
    kind: Sampler,
    space: Space,
    *,
    seed: int,
    num_trials: int,
    recipe: Callable[[Params], Recipe] | None = None,
) -> optuna.samplers.BaseSampler:
    """The sampler of a kind; a grid is queued, so nothing is ever drawn for it."""
    if kind == "staged":
        return StagedSampler(space, seed=seed, num_trials=num_trials, recipe=recipe)
    with warnings.catch_warnings():
        # That an interface may change is not the user's concern.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _sampler(kind, space, seed, num_trials)


def _sampler(
    kind: Sampler, space: Space, seed: int, num_trials: int
) -> optuna.samplers.BaseSampler:
    if kind == "tpe":
        # Several configs are asked for before the first is told (arXiv:2304.11127, section 4).
        # Dimensions that count together are modelled together.
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, group=space.is_conditional
        )
    if kind == "qmc":
        return optuna.samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
    if kind == "gp":
        return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
    if kind == "cmaes":
        # Labels and conditional dimensions are drawn at random beside it.
        return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    if kind == "nsga2":
        # Optuna's population of 50 would draw all of a small budget at random.
        size = max(_SMALLEST_POPULATION, min(50, num_trials // _GENERATIONS))
        return optuna.samplers.NSGAIISampler(population_size=size, seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def make_pruner(kind: Pruner, *, reduction: int, grace: int) -> optuna.pruners.BasePruner:
    """Optuna's own; median and percentile see a few trials to their end before they cut any.

    Its steps are evaluations: 1, 2, 3, and so on. Counted in optimizer steps, the first evaluation
    would lie beyond several rungs at once, and a run would have to win all of them there.
    """
    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=_FIRST_WHOLE)
    if kind == "percentile":
        return optuna.pruners.PercentilePruner(25.0, n_startup_trials=_FIRST_WHOLE)
    if kind == "asha":
        # Asynchronous successive halving, arXiv:1810.05934.
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=grace, reduction_factor=reduction
        )
    if kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1)
    return optuna.pruners.NopPruner()
