"""Runs of all kinds of dropout to share a pack."""

from __future__ import annotations

from dataclasses import replace

from packs import presets_of
from sweep.core.recipe import Recipe


def companions(recipe: Recipe) -> list[Recipe]:
    """Eight runs with all kinds of dropout on."""
    shapes = [(2, 0.1), (4, 0.0), (8, 0.3), (16, 0.1), (3, 0.5), (4, 0.2), (1, 0.1), (6, 0.0)]
    presets = presets_of(recipe)
    return [
        replace(
            recipe,
            lora=replace(recipe.lora, r=r, lora_dropout=p, target_modules=presets[i % 3]),
            trainer=replace(recipe.trainer, learning_rate=1e-3 * (i + 1)),
        )
        for i, (r, p) in enumerate(shapes)
    ]
