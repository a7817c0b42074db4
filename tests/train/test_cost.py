"""The order in which runs are started."""

from __future__ import annotations

from dataclasses import replace

from sweep.core.recipe import Recipe
from sweep.train.cost import relative_cost


def test_what_takes_longer_costs_more(recipe: Recipe) -> None:
    lora, trainer = recipe.lora, recipe.trainer
    plain = replace(recipe, lora=replace(lora, lora_dropout=0.0))
    dearer = [
        replace(plain, lora=replace(plain.lora, r=16)),
        replace(plain, lora=replace(plain.lora, target_modules="all-linear")),
        recipe,
        replace(plain, trainer=replace(trainer, max_steps=12)),
        replace(plain, trainer=replace(trainer, per_device_train_batch_size=16)),
    ]
    assert all(relative_cost(one) > relative_cost(plain) for one in dearer)
    epochs = [
        replace(plain, trainer=replace(trainer, max_steps=-1, num_train_epochs=n)) for n in (1, 3)
    ]
    assert relative_cost(epochs[1]) == 3 * relative_cost(epochs[0])
