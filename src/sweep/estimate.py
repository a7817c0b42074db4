"""What runs are expected to take, from a few steps of a cheap and of a dear config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sweep.core.errors import ConfigError
from sweep.core.recipe import Recipe
from sweep.execute.processes import in_fresh_process, warm_up
from sweep.settings import Settings
from sweep.train.cost import relative_cost, relative_memory
from sweep.train.data import load_split
from sweep.train.memory import memory_for_workers
from sweep.train.pace import Pace, measure_pace
from sweep.workers import num_threads, num_workers, usual_pack


@dataclass(frozen=True)
class Estimates:
    """Time and peak memory of a run, interpolated between recipes that were tried.

    `tried` are one or two recipes, the cheapest first, with their `paces`.
    """

    tried: tuple[Recipe, ...]
    paces: tuple[Pace, ...]
    train_rows: int

    def seconds(self, recipe: Recipe) -> float:
        """Of one run, evaluations included."""
        known = [
            pace.run_seconds(tried, train_rows=self.train_rows)
            for tried, pace in zip(self.tried, self.paces, strict=True)
        ]
        return self._between(relative_cost, known, recipe)

    def peak_memory_mb(self, recipe: Recipe) -> float | None:
        """Of the worker that trains it, base model included; None where it can't be measured."""
        known = [pace.peak_memory_mb for pace in self.paces if pace.peak_memory_mb is not None]
        if len(known) < len(self.tried):
            return None
        return self._between(relative_memory, known, recipe)

    def _between(
        self, order: Callable[[Recipe], float], values: Sequence[float], recipe: Recipe
    ) -> float:
        """Interpolated over what is known to order the recipes; beyond the ends as at the end."""
        places = [order(tried) for tried in self.tried]
        ranks = np.argsort(places)
        return float(np.interp(order(recipe), np.take(places, ranks), np.take(values, ranks)))


def measured_estimates(settings: Settings) -> Estimates:
    """Train a few steps of the cheapest and of the dearest config.

    As many at a time as later, and each in a pack as large as later.
    """
    import torch

    recipes = [recipe for _, recipe in settings.configs()]
    ends = {
        r.config_id: r for r in (min(recipes, key=relative_cost), max(recipes, key=relative_cost))
    }
    warm_up("sweep.train.pace")
    together = 1 if torch.cuda.is_available() else num_workers(settings)
    sizes = usual_pack(settings), num_threads(settings)
    with ThreadPoolExecutor(together) as pool:
        paces = pool.map(lambda r: in_fresh_process(measure_pace, r, *sizes), ends.values())
        measured = tuple(paces)
    return Estimates(tuple(ends.values()), measured, len(load_split(settings.data, "train")))


@dataclass(frozen=True)
class MemoryLimit:
    """MB that a worker may take, and what configs are expected to take."""

    limit_mb: float
    estimates: Estimates

    def in_words(self, recipes: Sequence[Recipe]) -> str:
        """The limit, beside what these are expected to take."""
        needed = [self.excess_mb(recipe) + self.limit_mb for recipe in recipes]
        takes = " to ".join(f"{mb:,.0f}" for mb in dict.fromkeys((min(needed), max(needed))))
        return f"memory {self.limit_mb:,.0f} MB a worker; a config is expected to take {takes} MB"

    def excess_mb(self, recipe: Recipe) -> float:
        """What a run of the recipe takes beyond the limit; 0 or less fits."""
        return (self.estimates.peak_memory_mb(recipe) or 0.0) - self.limit_mb


def memory_limit(settings: Settings) -> MemoryLimit | None:
    """The limit that `executor.max_memory_gb` sets, measured; None without one.

    Raises:
        ConfigError: not even the cheapest config fits.
    """
    given = settings.executor.max_memory_gb
    if given is None:
        return None
    most = memory_for_workers(num_workers(settings), most_gb=given)
    assert most is not None
    limit = MemoryLimit(most, measured_estimates(settings))
    needed = min(limit.excess_mb(recipe) for _, recipe in settings.configs()) + most
    if needed > most:
        raise ConfigError(
            "`executor.max_memory_gb` must hold the smallest config on every worker.",
            value=f"{needed:,.0f} MB are expected, {most:,.0f} MB allowed on each of "
            f"{num_workers(settings)} workers",
            way_out="allow more, or set fewer `executor.workers`",
        )
    return limit
