"""What runs are expected to take, from a few steps of a cheap and of an expensive pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sweep.budget.packs import Packed, expected_packs, of_its_like, usual_pack
from sweep.budget.workers import Workers
from sweep.budget.workload import Workload
from sweep.core.errors import ConfigError
from sweep.core.recipe import Data, Recipe
from sweep.data.pairs import load_split
from sweep.execute.children import warm_up
from sweep.execute.fresh import in_fresh_process
from sweep.train.cost import relative_cost, relative_memory
from sweep.train.pace import Pace, measure_pace


@dataclass(frozen=True)
class Estimates:
    """Time and peak memory of a run, interpolated between one or two packs that were tried."""

    paces: tuple[Pace, ...]
    train_rows: int

    def seconds(self, recipe: Recipe) -> float:
        """Of one run, evaluations included: its share, by cost, of what a pack takes."""
        paces = [
            pace.run_seconds(train_rows=self.train_rows) / _mean(relative_cost, pace.tried)
            for pace in self.paces
        ]
        return relative_cost(recipe) * self._between(relative_cost, paces, recipe)

    def peak_memory_mb(self, recipe: Recipe) -> float | None:
        """Of the worker that trains it, base model included; None where it can't be measured."""
        tried = next((p for p in self.paces if recipe in p.tried), None)
        if tried is not None:
            return tried.peak_memory_mb
        known = [pace.peak_memory_mb for pace in self.paces if pace.peak_memory_mb is not None]
        if len(known) < len(self.paces):
            return None
        return self._between(relative_memory, known, recipe)

    def _between(
        self, order: Callable[[Recipe], float], values: Sequence[float], recipe: Recipe
    ) -> float:
        """Interpolated over what is known to order the packs; beyond the ends as at the end."""
        places = [_mean(order, pace.tried) for pace in self.paces]
        ranks = np.argsort(places)
        return float(np.interp(order(recipe), np.take(places, ranks), np.take(values, ranks)))


def _mean(of: Callable[[Recipe], float], recipes: Sequence[Recipe]) -> float:
    return float(np.mean([of(recipe) for recipe in recipes]))


def estimates_of_packs(load: Workload, workers: Workers) -> Estimates:
    """Train a few steps of the cheapest and of the most expensive pack that there will be."""
    packs = expected_packs(load, workers)
    packs.sort(key=lambda pack: _mean(relative_cost, pack))
    return _tried(packs[:1] + packs[1:][-1:], workers, load.data)


def estimates_of_extremes(load: Workload, workers: Workers) -> Estimates:
    """Train a few steps of the smallest and of the largest config, each in a pack of its like.

    No pack takes more than one of which all runs are as the largest.
    """
    recipes = sorted(load.recipes, key=relative_memory)
    size = usual_pack(load, workers)
    packs = [of_its_like(recipe, size) for recipe in recipes[:1] + recipes[1:][-1:]]
    return _tried(packs, workers, load.data)


def _tried(packs: Sequence[Packed], workers: Workers, data: Data) -> Estimates:
    """What these packs take; as many at a time as later."""
    warm_up("sweep.train.pace")
    together = 1 if workers.gpus else workers.count
    with ThreadPoolExecutor(together) as pool:
        paces = pool.map(lambda pack: in_fresh_process(measure_pace, pack, workers.threads), packs)
        return Estimates(tuple(paces), len(load_split(data, "train")))


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


def memory_limit(load: Workload, workers: Workers) -> MemoryLimit | None:
    """The limit that `executor.max_memory_gb` sets, measured; None without one.

    Raises:
        ConfigError: not even the cheapest config fits.
    """
    if workers.max_memory_gb is None:
        return None
    most = workers.memory_mb
    assert most is not None
    limit = MemoryLimit(most, estimates_of_extremes(load, workers))
    needed = min(limit.excess_mb(recipe) for recipe in load.recipes) + most
    if needed > most:
        raise ConfigError(
            "`executor.max_memory_gb` must hold the smallest config on every worker.",
            value=f"{needed:,.0f} MB are expected, {most:,.0f} MB allowed on each of "
            f"{workers.count} workers",
            way_out="allow more, or set fewer `executor.workers`",
        )
    return limit
