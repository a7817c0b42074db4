"""Three questions about LoRA that a sweep can answer, each with how sure the answer is.

Rank and alpha together, q/v against all-linear at equal size, learning rate times scaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.recipe import Recipe
from sweep.core.words import counted
from sweep.stats.by_level import rank_correlation
from sweep.stats.comparison import Comparison
from sweep.stats.effects import interaction, resampled_configs
from sweep.stats.family import family_of
from sweep.stats.interval import Interval
from sweep.stats.levels import Factor
from sweep.stats.verdict import Contender

#: Configs below which nothing is said of correlations.
_FEWEST = 6
#: Two targets are compared where their parameter counts differ by less.
_SAME_SIZE = 0.1


@dataclass(frozen=True)
class SameSize:
    """All-linear minus q/v, in pairs of configs of equal size that are alike in the rest.

    With one seed each, the luck of the seed is not in it.
    """

    difference: Interval
    pairs: int
    one_seed: bool

    @property
    def line(self) -> str:
        clear = "" if self.difference.is_clear else ", not distinguishable"
        seeds = "; one seed each, its luck is not in this" if self.one_seed else ""
        return (
            f"at equal parameter count ({counted(self.pairs, 'pair')}) all-linear is "
            f"{self.difference.as_difference} from qv{clear}{seeds}."
        )


@dataclass(frozen=True)
class OneKnob:
    """Rank correlations with the score: learning rate times alpha/r, and each of them alone."""

    product: Interval
    rate: Interval
    scaling: Interval

    @property
    def line(self) -> str:
        parts = [
            f"{name} {found.value:+.2f} ({found.ci_low:+.2f} to {found.ci_high:+.2f})"
            for name, found in (
                ("lr x alpha/r", self.product),
                ("lr", self.rate),
                ("alpha/r", self.scaling),
            )
        ]
        return f"rank correlation with the score (95 % interval): {', '.join(parts)}."


@dataclass(frozen=True)
class LoraAnswers:
    """What a study says to the three; None where it can't tell.

    `rank_and_alpha` is what doubling alpha is worth more for each doubling of r.
    """

    rank_and_alpha: Interval | None = None
    same_size: SameSize | None = None
    one_knob: OneKnob | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        found = (self._interaction_line, self.same_size, self.one_knob)
        return tuple(
            answer if isinstance(answer, str) else answer.line
            for answer in found
            if answer is not None
        )

    @property
    def _interaction_line(self) -> str | None:
        if self.rank_and_alpha is None:
            return None
        size = self.rank_and_alpha.as_difference
        if not self.rank_and_alpha.is_clear:
            return f"r x alpha: no interaction to be seen, {size} per doubling of both."
        return f"r x alpha: doubling alpha is worth {size} more for each doubling of r."


def lora_answers(
    configs: Sequence[Contender],
    recipes: Sequence[Recipe],
    factors: Sequence[Factor],
    comparison: Comparison,
) -> LoraAnswers:
    """The answers of a study, from its configs `[K]` in the order of the comparison."""
    return LoraAnswers(
        _rank_and_alpha(recipes, factors, comparison),
        _same_size(configs, recipes, factors, comparison),
        _one_knob(recipes, comparison.means),
    )


def _rank_and_alpha(
    recipes: Sequence[Recipe], factors: Sequence[Factor], comparison: Comparison
) -> Interval | None:
    if not {"lora.r", "lora.lora_alpha"} <= {f.key for f in factors}:
        return None
    ranks = np.log2([r.lora.r for r in recipes])
    alphas = np.log2([r.lora.lora_alpha for r in recipes])
    return interaction(ranks, alphas, factors, comparison)


def _same_size(
    configs: Sequence[Contender],
    recipes: Sequence[Recipe],
    factors: Sequence[Factor],
    comparison: Comparison,
) -> SameSize | None:
    """q/v against all-linear, where ranks make them cost the same and the rest is equal."""
    places: dict[Recipe, dict[object, list[int]]] = {}
    for place, recipe in enumerate(recipes):
        same = places.setdefault(_rest(recipe), {})
        same.setdefault(recipe.lora.target_modules, []).append(place)
    pairs = [
        (i, j)
        for same in places.values()
        for i, j in product(same.get("qv", ()), same.get("all-linear", ()))
        if _alike(configs[i].lora_params, configs[j].lora_params)
    ]
    if not pairs:
        return None
    weights = np.zeros(len(recipes))
    for i, j in pairs:
        weights[i] -= 1 / len(pairs)
        weights[j] += 1 / len(pairs)
    found = family_of(factors, comparison).interval(weights, comparison)
    return SameSize(found, len(pairs), one_seed=comparison.seed_sd is None)


def _alike(first: int | None, second: int | None) -> bool:
    return bool(first and second and abs(first / second - 1) < _SAME_SIZE)


def _rest(recipe: Recipe) -> Recipe:
    """The recipe without what makes its adapter large."""
    return recipe.with_values(
        {"lora.r": 1, "lora.lora_alpha": recipe.lora.scaling, "lora.target_modules": "any"}
    )


def _one_knob(recipes: Sequence[Recipe], means: Floats) -> OneKnob | None:
    """Learning rate and scaling alpha/r: under Adam nearly one knob, their product."""
    rates = np.log([r.trainer.learning_rate for r in recipes])
    scalings = np.log([r.lora.scaling for r in recipes])
    # Equal products are ties: the last digits of a sum of logarithms must not rank them.
    products = np.round(rates + scalings, 9)
    if len(means) < _FEWEST or np.ptp(rates) < 1e-9 or np.ptp(scalings) < 1e-9:
        return None
    return OneKnob(*(_correlation(knob, means) for knob in (products, rates, scalings)))


def _correlation(knob: Floats, means: Floats) -> Interval:
    """With its interval, bootstrapped over configs."""
    resampled = [rank_correlation(knob[d], means[d]) for d in resampled_configs(len(means))]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(rank_correlation(knob, means), float(low), float(high))
