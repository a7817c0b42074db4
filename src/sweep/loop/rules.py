"""How much every config is trained, and when that is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sweep.loop.confirm import NO_CONFIRMATION, Confirmation
from sweep.loop.objectives import PEARSON, Objective

#: By what a race of the seeds rules configs out: True is the t test, False is no race.
RaceRule = bool | Literal["wilcoxon"]


@dataclass(frozen=True)
class Rules:
    """What the loop goes by.

    Args:
        seeds: A trial's value is the mean over them.
        race: Seeds are trained one after the other, the next only while the config may still
            be the best by this rule; False trains all at once.
        prunes: Whether the first seed may cut a trial: the further ones wait for its end.
        reduction: Successive halving of the whole pool keeps the best 1 in so many at evaluation
            `grace`, and again each time a run has had so many times more; None keeps all.
        grace: Evaluations before the first cut.
        audit: Share of the trials to be pruned that is trained on all the same; one at least.
        objectives: What a trial's value is made of.
        confirmation: What follows the search.
    """

    seeds: tuple[int, ...]
    race: RaceRule = False
    prunes: bool = False
    reduction: int | None = None
    grace: int = 1
    audit: float = 0.0
    objectives: tuple[Objective, ...] = (PEARSON,)
    confirmation: Confirmation = NO_CONFIRMATION

    @property
    def first_seed(self) -> int:
        """The seed that every config is trained with, and that pruners look at."""
        return self.seeds[0]
