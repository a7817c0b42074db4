"""LoRA and its relatives in one study, each by its own draws of the other settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweep.core.recipe import Recipe
from sweep.stats.best_of import Drawn, expected_best

#: Configs of a method below which a budget of draws says nothing.
_FEWEST = 3


def drawn_variants(recipes: Sequence[Recipe], means: Sequence[float]) -> tuple[Drawn, ...]:
    """Each method with its configs' scores, the best first; none where there is one method.

    Args:
        recipes: Of the configs `[K]`.
        means: Their scores in the search `[K]`.
    """
    groups: dict[str, list[int]] = {}
    for place, recipe in enumerate(recipes):
        groups.setdefault(recipe.lora.variant, []).append(place)
    if len(groups) < 2 or min(map(len, groups.values())) < _FEWEST:
        return ()
    found = [_drawn(name, recipes, means, places) for name, places in groups.items()]
    fewest = min(one.num_configs for one in found)
    return tuple(sorted(found, key=lambda one: -one.expected(fewest)))


def variant_words(found: Sequence[Drawn]) -> tuple[str, ...]:
    """What a small and what the whole budget of draws gives with each method."""
    if not found:
        return ()
    most = min(one.num_configs for one in found)
    few = max(2, most // 3)
    return tuple(_listed(found, draws) for draws in dict.fromkeys((few, most)))


def _listed(found: Sequence[Drawn], draws: int) -> str:
    ordered = sorted(found, key=lambda one: -one.expected(draws))
    listed = ", ".join(f"{one.name} {one.expected(draws):.4f}" for one in ordered)
    return f"expected best of {draws} draws on the search's seeds: {listed}."


def _drawn(
    name: str, recipes: Sequence[Recipe], means: Sequence[float], places: Sequence[int]
) -> Drawn:
    scores = np.asarray([means[place] for place in places])
    best = recipes[places[int(np.argmax(scores))]]
    return Drawn(name, tuple(expected_best(scores).tolist()), best.trainer.learning_rate)
