"""The workload: what a search is to train, as far as is known before it begins."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.config.schema import Settings
from sweep.core.recipe import Data, Recipe
from sweep.search.samplers import Sampler
from sweep.space.space import Params


@dataclass(frozen=True)
class Workload:
    """What there is to train; made once of the settings, then it travels.

    Args:
        configs: Cells of a grid, or corners of a space that a sampler draws from; each training
            once.
        num_cells: Cells of a grid, those with the training of another included; 0 without one.
        num_configs: That the search will have.
        num_seeds: Of each config.
        sampler: Chooses the configs.
        num_trials: That a sampler draws.
        data: Of the base recipe.
        pauses: Whether runs wait at their rungs for one another.
        kept_configs: Best configs whose adapters stay; None keeps those of all.
    """

    configs: tuple[tuple[Params, Recipe], ...]
    num_cells: int
    num_configs: int
    num_seeds: int
    sampler: Sampler
    num_trials: int
    data: Data
    pauses: bool = False
    kept_configs: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> Workload:
        search = settings.search
        return cls(
            configs=tuple(settings.configs()),
            num_cells=len(settings.space.grid()) if search.sampler == "grid" else 0,
            num_configs=settings.num_configs,
            num_seeds=len(search.seeds),
            sampler=search.sampler,
            num_trials=search.n_trials,
            data=settings.data,
            pauses=search.pruner == "halving",
            kept_configs=settings.executor.keep.configs,
        )

    @property
    def recipes(self) -> list[Recipe]:
        """Of the configs, with the first seed."""
        return [recipe for _, recipe in self.configs]

    @property
    def is_grid(self) -> bool:
        return self.sampler == "grid"

    @property
    def learns(self) -> bool:
        """Whether the sampler looks at scores before it draws more."""
        return self.sampler in ("staged", "tpe", "gp", "cmaes", "nsga2")
