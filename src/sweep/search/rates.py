"""The search of full fine-tuning: each learning rate on one seed, then the best on more seeds."""

from __future__ import annotations

from sweep.core.recipe import Recipe
from sweep.loop.objectives import Value
from sweep.loop.trial import Trial
from sweep.space.space import Params
from sweep.study.full_runs import FullPlan

_RATE, _SEED = "trainer.learning_rate", "seed"


class RateSearch:
    """A `Search` whose trials are one run each: a rate and a seed."""

    def __init__(self, plan: FullPlan) -> None:
        self._plan = plan
        self._points = [_point(rate, plan.first) for rate in plan.rates]
        self._asked = 0
        #: By rate, on the first seed.
        self._scores: dict[float, float] = {}
        self._told = 0

    @property
    def num_trials(self) -> int:
        return self._plan.num_runs

    def recipe(self, params: Params, seed: int) -> Recipe:
        """Of a trial, which brings a seed of its own."""
        return self._plan.recipe(float(params[_RATE]), int(params[_SEED]))

    def ask(self) -> Trial | None:
        """The next run; None while the rates are not known yet, and when there are no more."""
        if self._asked == len(self._points) == self._told == len(self._plan.rates) and self._scores:
            best = max(self._scores, key=lambda rate: self._scores[rate])
            self._points += [_point(best, seed) for seed in self._plan.further]
        if self._asked == len(self._points):
            return None
        self._asked += 1
        return Trial(self._asked - 1, self._points[self._asked - 1])

    def tell(
        self, number: int, value: Value | None, reason: str | None = None, *, pruned: bool = False
    ) -> None:
        self._told += 1
        if isinstance(value, float) and number < len(self._plan.rates):
            self._scores[float(self._points[number][_RATE])] = value

    def report(self, number: int, step: int, value: float) -> bool:
        """Nothing is pruned: what is compared with LoRA is trained to its end."""
        return False


def _point(rate: float, seed: int) -> Params:
    return {_RATE: rate, _SEED: seed}
