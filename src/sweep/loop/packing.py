"""Runs put together into packs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sweep.core.recipe import Recipe
from sweep.loop.ports import Pack
from sweep.loop.trial import Run


def make_packs(
    runs: Sequence[Run], key: Callable[[Recipe], str], *, most: int, workers: int
) -> list[Pack]:
    """Packs of runs with equal keys, of at most `most` runs, the longest waiting first.

    They are only as large as gives each of the `workers` one, and runs are dealt out: a grid waits
    in the order of its costs, and packs that take equally long leave no worker idle.
    """
    size = min(most, -(-len(runs) // workers))
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run.recipe), []).append(run)
    packs = []
    for group in groups.values():
        count = -(-len(group) // size)
        packs += [tuple(group[place::count]) for place in range(count)]
    place = {run.id: number for number, run in enumerate(runs)}
    return sorted(packs, key=lambda pack: place[pack[0].id])
