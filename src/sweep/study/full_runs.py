"""Runs of full fine-tuning: which there are to be, and what is kept of them beside a study's own.

Each rate is tried on the seed that the search begins with. The best on dev is then trained on the
seeds that the recommended config's score rests on, so that both are the mean of as many runs, on
the same orders of the same pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sweep.core.recipe import Recipe
from sweep.loop.confirm import Confirming
from sweep.loop.trial import Event, Outcome, Run, RunState
from sweep.study.kept_runs import KeptRuns
from sweep.study.tables import Results


@dataclass(frozen=True)
class FullPlan:
    """What is to be trained.

    Args:
        like: The recipe whose model, pairs and steps are taken, and nothing of its LoRA.
        rates: Learning rates that are tried.
        first: The seed that they are tried on.
        seeds: Those that the best of them is trained on.
    """

    like: Recipe
    rates: tuple[float, ...]
    first: int
    seeds: tuple[int, ...]

    @property
    def further(self) -> tuple[int, ...]:
        """Seeds beside the one that the rates are tried on."""
        return tuple(seed for seed in self.seeds if seed != self.first)

    @property
    def num_runs(self) -> int:
        return len(self.rates) + len(self.further)

    def recipe(self, rate: float, seed: int) -> Recipe:
        """Of one run."""
        return replace(self.like, seed=seed).in_full(rate)

    def run(self, rate: float, seed: int) -> Run:
        """As its record has it, but for its number."""
        return Run(0, {}, self.recipe(rate, seed))

    def best_rate(self, kept: KeptRuns) -> float | None:
        """The rate with the highest dev score on the first seed; None where none has a score."""
        scores = {rate: _score(kept, self.recipe(rate, self.first)) for rate in self.rates}
        known = {rate: score for rate, score in scores.items() if score is not None}
        return max(known, key=lambda rate: known[rate]) if known else None

    def missing(self, kept: KeptRuns) -> int:
        """Runs that are to be trained, again where they failed."""
        return sum(kept.done(run_id) is None for run_id in self._run_ids(kept))

    def waiting(self, kept: KeptRuns) -> int:
        """Runs that have not ended, one way or the other."""
        if self.best_rate(kept) is None and all(
            kept.outcome(self.recipe(rate, self.first).run_id) for rate in self.rates
        ):
            return 0
        return sum(kept.outcome(run_id) is None for run_id in self._run_ids(kept))

    def _run_ids(self, kept: KeptRuns) -> list[str]:
        """Of all runs; which rate will be the best does not change how many there are."""
        rate = self.best_rate(kept) or self.rates[0]
        tried = [self.recipe(rate, self.first) for rate in self.rates]
        later = [self.recipe(rate, seed) for seed in self.further]
        return [recipe.run_id for recipe in (*tried, *later)]

    def scored_seeds(self, rate: float, kept: KeptRuns) -> tuple[int, ...]:
        """Seeds that the config of a rate has a score on."""
        return tuple(s for s in self.seeds if _score(kept, self.recipe(rate, s)) is not None)

    @property
    def words(self) -> str:
        """`3 learning rates, then the best on 5 seeds`."""
        tried = f"{len(self.rates)} learning rate{'s' * (len(self.rates) != 1)}"
        seeds = f"{len(self.seeds)} seed{'s' * (len(self.seeds) != 1)}"
        return f"{tried}, then the best on {seeds}"


class FullRecords:
    """The records of full fine-tuning as a loop keeps them; the study's tables follow."""

    def __init__(self, results: Results) -> None:
        self._kept = results.full
        self._follow: Callable[[], None] = results.keep_tables_live
        self._write = results.write_tables

    def done(self, run_id: str) -> Outcome | None:
        return self._kept.done(run_id)

    def finished(self) -> list[tuple[Run, Outcome]]:
        return self._kept.finished()

    def add(self, run: Run) -> None:
        self._kept.add(run)
        self._follow()

    def handle(self, event: Event) -> None:
        self._kept.handle(event)
        self._follow()

    def confirms(self, confirming: Confirming) -> None:
        """The seeds are the search's: nothing is confirmed."""

    def close(self) -> None:
        self._kept.put_back()
        self._write()


def _score(kept: KeptRuns, recipe: Recipe) -> float | None:
    outcome = kept.done(recipe.run_id)
    return outcome.score if outcome and outcome.state is RunState.COMPLETE else None
