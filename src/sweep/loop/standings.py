"""How the configs stand: who may still be the best, who goes on, who is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweep.loop.confirm import Confirming
from sweep.loop.halving import Pool, Promotion
from sweep.loop.race import Race
from sweep.loop.rules import Rules
from sweep.loop.trial import Evaluation, Outcome, Run, RunState


class Standings:
    """What runs have shown, in this start or an earlier one, and what follows by the rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._race = Race(rules.race)
        self._pool = Pool(rules.reduction, grace=rules.grace)
        #: A run of every config that did not fail.
        self._run_of: dict[str, Run] = {}

    def remember(self, run: Run, outcome: Outcome) -> None:
        """What a run of an earlier start says of its config."""
        for evaluation in outcome.in_competition:
            self.note(run, evaluation)
        self.add(run, outcome)

    def note(self, run: Run, evaluation: Evaluation) -> None:
        """A rung that a run has reached; the pool compares first seeds."""
        if run.recipe.seed == self._rules.first_seed:
            self._pool.note(run.id, evaluation)

    def add(self, run: Run, outcome: Outcome) -> None:
        """What a run has come to."""
        if outcome.state is RunState.FAILED:
            self._pool.forget(run.id)
            return
        self._run_of.setdefault(run.recipe.config_id, run)
        if outcome.score is not None and run.recipe.seed in self._rules.seeds:
            self._race.add(run.recipe.config_id, run.recipe.seed, outcome.score)

    def may_win(self, config_id: str) -> bool:
        """Whether the config may be the best, by the race of the seeds."""
        return self._race.is_in(config_id)

    def spared(self, finished: Sequence[tuple[Run, Outcome]]) -> set[str]:
        """Seeds that an earlier start has not trained, since their config was out already."""
        firsts = [pair for pair in finished if pair[0].recipe.seed == self._rules.first_seed]
        out = [run for run, outcome in firsts if self._is_out(run, outcome)]
        ids = {replace(run.recipe, seed=s).run_id for run in out for s in self._rules.seeds}
        return ids - {run.id for run, _ in finished}

    def _is_out(self, run: Run, outcome: Outcome) -> bool:
        """Whether a config gets no further seed after its first one."""
        is_behind = bool(self._rules.race) and not self.may_win(run.recipe.config_id)
        return outcome.state is RunState.PRUNED or is_behind

    def entering(self, run: Run) -> Run:
        """The run as it is to be submitted first: a pool sees first seeds at its rungs."""
        return self._pool.entering(run) if run.recipe.seed == self._rules.first_seed else run

    def pause(self, run: Run, outcome: Outcome) -> None:
        """The run waits at a rung."""
        self._pool.pause(run, outcome)

    def promote(self) -> Promotion | None:
        """Decide about the runs that wait at the lowest rung; None where none waits."""
        return self._pool.promote()

    def to_confirm(self) -> tuple[Confirming, list[Run]]:
        """The leaders, and what is to be trained of them on fresh seeds."""
        rule = self._rules.confirmation
        return rule.planned(self._race.scores, run_of=self._run_of, used=self._rules.seeds)
