"""What a search is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sweep.core.recipe import Recipe
from sweep.loop.objectives import PEARSON, Objective
from sweep.search.samplers import Pruner, Sampler
from sweep.space.space import Params, Space


@dataclass(frozen=True)
class SearchTask:
    """What is searched, how, and for how long.

    Args:
        name: Of the study.
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
        recipe: Of a point; `staged` looks at its rank, alpha and learning rate, and a told trial
            carries its id.
    """

    name: str
    space: Space
    sampler: Sampler
    num_trials: int
    seeds: Sequence[int] = (0,)
    sampler_seed: int = 0
    pruner: Pruner = "none"
    reduction: int = 3
    grace: int = 1
    objectives: Sequence[Objective] = (PEARSON,)
    first: Sequence[Params] = ()
    cost: Callable[[Params], float] = lambda params: 0.0
    excess: Callable[[Params], float] = lambda params: 0.0
    recipe: Callable[[Params], Recipe] | None = None

    @property
    def recipe_of_a_score(self) -> Callable[[Params], Recipe] | None:
        """Where a trial's first value is its score."""
        return self.recipe if self.objectives[0].is_score else None

    @property
    def is_grid(self) -> bool:
        return self.sampler == "grid"

    @property
    def cells(self) -> list[Params]:
        """The cells of a grid, in the order in which they are queued."""
        return sorted(self.space.grid(), key=self.cost, reverse=True)
