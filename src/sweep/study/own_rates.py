"""Ranks at their own learning rates, from the configs of a study."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.core.recipe import Lora, Recipe
from sweep.core.words import TOGETHER
from sweep.stats.levels import Factor
from sweep.stats.own_rates import OwnRates, own_rates
from sweep.stats.rank_law import Adapter, one_rate_words
from sweep.stats.rate_table import Scored

_RATE, _TARGETS = "trainer.learning_rate", "lora.target_modules"
#: Keys that the comparison itself is about.
_ITS_OWN = frozenset({"lora.r", "lora.lora_alpha", "lora.use_rslora", _RATE})


def adapter_of(lora: Lora) -> Adapter:
    """As the rank law sees it."""
    return Adapter(lora.r, float(lora.lora_alpha), lora.use_rslora)


def at_one_rate(recipes: Sequence[Recipe]) -> str:
    """What ranks that were compared at one learning rate leave open; empty where they were not."""
    rates = [recipe.trainer.learning_rate for recipe in recipes]
    return one_rate_words([adapter_of(recipe.lora) for recipe in recipes], rates)


def at_own_rates(
    recipes: Sequence[Recipe], means: Sequence[float], factors: Sequence[Factor]
) -> OwnRates | None:
    """Of configs `[K]` with their scores; `factors` are the searched keys of these configs."""
    others = [factor for factor in factors if not _ITS_OWN & set(factor.key.split(TOGETHER))]
    configs = [
        Scored(
            adapter_of(recipe.lora),
            recipe.trainer.learning_rate,
            float(mean),
            {factor.key: factor.levels[factor.of_config[place]] for factor in others},
        )
        for place, (recipe, mean) in enumerate(zip(recipes, means, strict=True))
    ]
    metric = recipes[0].task.measure if recipes else None
    # How high a top may be is known of metrics with ends alone.
    if metric is None or not metric.is_bounded:
        return None
    return own_rates(configs, moving=(_TARGETS,), ends=(metric.low, metric.high))
