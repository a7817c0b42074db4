"""What runs are expected to take, from a few steps of a cheap and of an expensive pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from sweep.budget.workers import (
    gpus_of,
    largest_pack,
    memory_of_each,
    num_threads,
    num_workers,
    usual_pack,
)
from sweep.config.schema import Settings
from sweep.core.errors import ConfigError
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.execute.children import warm_up
from sweep.execute.fresh import in_fresh_process
from sweep.loop.packing import make_packs
from sweep.loop.trial import Run
from sweep.lora.packable import pack_key
from sweep.train.cost import relative_cost, relative_memory
from sweep.train.pace import Pace, measure_pace

_Packed = tuple[Recipe, ...]


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


def estimates_of_packs(settings: Settings) -> Estimates:
    """Train a few steps of the cheapest and of the most expensive pack that there will be."""
    packs = [tuple(run.recipe for run in pack) for pack in expected_packs(settings)]
    packs.sort(key=lambda pack: _mean(relative_cost, pack))
    return _tried(settings, packs[:1] + packs[1:][-1:])


def estimates_of_extremes(settings: Settings) -> Estimates:
    """Train a few steps of the smallest and of the largest config, each in a pack of its like.

    No pack takes more than one of which all runs are as the largest.
    """
    recipes = sorted((recipe for _, recipe in settings.configs()), key=relative_memory)
    ends = recipes[:1] + recipes[1:][-1:]
    return _tried(settings, [_of_its_like(recipe, usual_pack(settings)) for recipe in ends])


def expected_packs(settings: Settings) -> list[tuple[Run, ...]]:
    """Packs of the configs, as the sweep deals them.

    A grid comes in the order of costs, first a pack for each worker, then one after the other as
    workers get free; what a sampler draws comes as it likes.
    """
    workers, most = num_workers(settings), largest_pack(settings)
    configs = [recipe for _, recipe in settings.configs()]
    # A sampler draws more than the corners of its space.
    copies = -(-workers * usual_pack(settings) // len(configs))
    recipes = [like for recipe in configs for like in _of_its_like(recipe, copies)]
    recipes.sort(key=relative_cost, reverse=True)
    waiting = [Run(place, {}, recipe) for place, recipe in enumerate(recipes)]
    at_once = workers * most if settings.search.sampler == "grid" else len(waiting)
    later = [waiting[at : at + most] for at in range(at_once, len(waiting), most)]
    return [
        *make_packs(waiting[:at_once], pack_key, most=most, workers=workers),
        *(pack for runs in later for pack in make_packs(runs, pack_key, most=most, workers=1)),
    ]


def _tried(settings: Settings, packs: Sequence[_Packed]) -> Estimates:
    """What these packs take; as many at a time as later."""
    warm_up("sweep.train.pace")
    together = 1 if gpus_of(settings) else num_workers(settings)
    threads = num_threads(settings)
    with ThreadPoolExecutor(together) as pool:
        paces = pool.map(lambda pack: in_fresh_process(measure_pace, pack, threads), packs)
        return Estimates(tuple(paces), len(load_split(settings.data, "train")))


def _of_its_like(recipe: Recipe, count: int) -> _Packed:
    """Recipes that take as much, with ids of their own."""
    rate = recipe.trainer.learning_rate
    rates = [rate * (1 + place / 1000) for place in range(count)]
    return tuple(replace(recipe, trainer=replace(recipe.trainer, learning_rate=r)) for r in rates)


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
    most = memory_of_each(settings, most_gb=given)
    assert most is not None
    limit = MemoryLimit(most, estimates_of_extremes(settings))
    needed = min(limit.excess_mb(recipe) for _, recipe in settings.configs()) + most
    if needed > most:
        raise ConfigError(
            "`executor.max_memory_gb` must hold the smallest config on every worker.",
            value=f"{needed:,.0f} MB are expected, {most:,.0f} MB allowed on each of "
            f"{num_workers(settings)} workers",
            way_out="allow more, or set fewer `executor.workers`",
        )
    return limit
