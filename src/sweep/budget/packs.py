"""Packs that there will be: how large, and of which configs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweep.budget.workers import Workers
from sweep.budget.workload import Workload
from sweep.core.recipe import Recipe
from sweep.loop.packing import make_packs
from sweep.loop.trial import Run
from sweep.lora.packable import pack_key
from sweep.train.cost import most_activations, relative_cost

#: Runs in a pack unless told otherwise; a GPU's pack that does not fit is halved.
_GPU_PACK, _CPU_PACK = 32, 4
#: Packs at least that a sampler which learns from scores shares its trials out to.
_FEWEST_PACKS = 4

Packed = tuple[Recipe, ...]


def largest_pack(load: Workload, workers: Workers) -> int:
    """Most runs of a pack.

    Together they share what a step costs beside its products: on a GPU nearly everything, on a
    CPU core a third. A sampler that learns must see scores before it has drawn everything.
    """
    size = workers.pack_size
    if size is None:
        size = _GPU_PACK if workers.gpus else _cpu_pack(load.recipes, workers)
    if load.learns:
        size = min(size, load.num_trials // (_FEWEST_PACKS * workers.count))
    return max(1, size)


def usual_pack(load: Workload, workers: Workers) -> int:
    """Runs of a pack where there are few: every worker gets one."""
    return min(largest_pack(load, workers), -(-load.num_configs // workers.count))


def expected_packs(load: Workload, workers: Workers) -> list[Packed]:
    """Packs of the configs, as the sweep deals them.

    A grid comes in the order of costs, first a pack for each worker, then one after the other as
    workers get free; what a sampler draws comes as it likes.
    """
    most = largest_pack(load, workers)
    # A sampler draws more than the corners of its space.
    copies = -(-workers.count * usual_pack(load, workers) // len(load.configs))
    recipes = [like for recipe in load.recipes for like in of_its_like(recipe, copies)]
    recipes.sort(key=relative_cost, reverse=True)
    at_once = workers.count * most if load.is_grid else len(recipes)
    later = [recipes[at : at + most] for at in range(at_once, len(recipes), most)]
    return [
        *_packed(recipes[:at_once], most=most, workers=workers.count),
        *(pack for group in later for pack in _packed(group, most=most, workers=1)),
    ]


def of_its_like(recipe: Recipe, count: int) -> Packed:
    """Recipes that take as much, with ids of their own."""
    rate = recipe.trainer.learning_rate
    rates = [rate * (1 + place / 1000) for place in range(count)]
    return tuple(replace(recipe, trainer=replace(recipe.trainer, learning_rate=r)) for r in rates)


def _packed(recipes: Sequence[Recipe], *, most: int, workers: int) -> list[Packed]:
    """These recipes dealt out as runs are."""
    runs = [Run(place, {}, recipe) for place, recipe in enumerate(recipes)]
    packs = make_packs(runs, pack_key, most=most, workers=workers)
    return [tuple(run.recipe for run in pack) for pack in packs]


def _cpu_pack(recipes: Sequence[Recipe], workers: Workers) -> int:
    """As many runs as surely leave half of the memory to others: nobody can halve a pack here
    before the system has killed something."""
    memory = workers.memory_mb
    needed = max(most_activations(recipe) for recipe in recipes) / 1e6
    return 1 if memory is None else min(_CPU_PACK, int(memory / 2 / needed))
