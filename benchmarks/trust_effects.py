"""What the settings do, in synthetic grids: how often an effect is said that is none, or missed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from synthetic import TRUE_PEARSON, Design, Task, joined

from sweep.stats.comparison import Comparison
from sweep.stats.effects import Effect, main_effects
from sweep.stats.levels import Factor, factors_of
from sweep.stats.statistics import Sample, compare

KEYS = ("rank", "targets", "dropout")
#: The key that does something, where one does.
KEY = "targets"
CONFIRMED = 4


@dataclass(frozen=True)
class Grid:
    """Two levels of each of so many keys, all combinations.

    `effect` is what the second level of `targets` is worth, and `more` what it is worth beside the
    second level of `rank` on top. With `confirm` seeds, the four best are trained again, as the
    search does; the effects rest on the search.
    """

    keys: int
    seeds: int
    seed_sd: float
    effect: float = 0.0
    more: float = 0.0
    confirm: int = 0


#: Standard error of a difference between two levels, in Pearson points, of three seeds in a grid of
#: two and of three keys: its SD over 1,500 studies without an effect.
ERRORS = {2: 0.00479, 3: 0.00325}
GRIDS = {
    "none, 3 keys, 3 seeds": Grid(3, 3, 0.006),
    "none, 3 keys, 1 seed, 4 confirmed on 3": Grid(3, 1, 0.006, confirm=3),
    "3 standard errors, 3 keys, 3 seeds": Grid(3, 3, 0.006, effect=3 * ERRORS[3]),
    "4 standard errors, 3 keys, 3 seeds": Grid(3, 3, 0.006, effect=4 * ERRORS[3]),
    "3 standard errors, 2 keys, 3 seeds": Grid(2, 3, 0.006, effect=3 * ERRORS[2]),
    "most at one rank, 3 keys, 3 seeds": Grid(3, 3, 0.006, effect=0.01, more=0.04),
}


def one_grid(grid: Grid, rng: np.random.Generator) -> dict[str, float]:
    """Train, say what the settings do, and look at the truth."""
    cells = [dict(zip(KEYS, cell, strict=False)) for cell in product(("a", "b"), repeat=grid.keys)]
    task = Task(Design(len(cells), grid.seeds, grid.seed_sd), rng)
    for place, cell in enumerate(cells):
        worth = grid.effect + grid.more * (cell["rank"] == "b")
        task.truth[place] = TRUE_PEARSON + worth * (cell[KEY] == "b")
    samples = [task.sample(k, range(grid.seeds)) for k in range(len(cells))]
    factors = factors_of(cells, KEYS[: grid.keys])
    found = main_effects(factors, _compared(task, samples, grid))
    return _told(found, factors, task)


def _compared(task: Task, samples: list[Sample], grid: Grid) -> Comparison:
    comparison = compare(samples, task.labels)
    if not grid.confirm:
        return comparison
    leaders = [int(k) for k in np.argsort(-comparison.means)[:CONFIRMED]]
    seeds = range(100, 100 + grid.confirm)
    luck = [joined(samples[k], task.sample(k, seeds)) for k in leaders]
    return compare(samples, task.labels, noise_from=luck)


def _told(effects: list[Effect], factors: list[Factor], task: Task) -> dict[str, float]:
    sure = [e for e in effects if e.distinguishable]
    covered = [_covers(e, effects, factors, task) for e in effects if e.ci_low is not None]
    return {
        "says_an_effect": bool(sure),
        "finds_it": any(e.key == KEY and e.level == "a" for e in sure),
        "says_of_another_key": any(e.key != KEY for e in sure),
        "says_most_at": any(e.most_at for e in sure),
        "covered": float(np.mean(covered)),
        "all_covered": all(covered),
    }


def _covers(effect: Effect, effects: list[Effect], factors: list[Factor], task: Task) -> bool:
    factor = next(f for f in factors if f.key == effect.key)
    best = next(e.level for e in effects if e.key == effect.key and e.difference == 0)
    means = {
        level: float(np.mean(task.truth[factor.configs_at(factor.levels.index(level))]))
        for level in factor.levels
    }
    truth = means[effect.level] - means[best]
    return effect.ci_low <= truth <= effect.ci_high
