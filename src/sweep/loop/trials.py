"""The life of a trial: its seeds as they are due, its cut, its audit, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sweep.core.recipe import Recipe
from sweep.loop.audit import Audit
from sweep.loop.open_trial import OpenTrial
from sweep.loop.ports import Search
from sweep.loop.queue import RunQueue
from sweep.loop.rules import Rules
from sweep.loop.standings import Standings
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, Trial
from sweep.space.space import Params


class Trials:
    """Open trials, and the runs that they wait for.

    Args:
        rules: How much every config is trained.
        expand: Turns a point of the space and a seed into a recipe.
        search: Is told of rungs, and of what came of each trial.
        runs: Takes up the runs that are due.
        standings: Say whether a config is worth another seed.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        expand: Callable[[Params, int], Recipe],
        search: Search,
        runs: RunQueue,
        standings: Standings,
    ) -> None:
        self._rules = rules
        self._expand = expand
        self._search = search
        self._runs = runs
        self._standings = standings
        self._audit = Audit(rules.audit)
        self._folding = _Folding()
        #: By run id, the trials that wait for it, first the one that began it.
        self._waiting_for: dict[str, list[OpenTrial]] = {}

    @property
    def folded(self) -> list[int]:
        """Trials of this start whose training is that of an earlier one."""
        return sorted(self._folding.folded)

    def remember(self, run: Run, outcome: Outcome) -> None:
        """What a run of an earlier start says of its trial."""
        self._folding.first_with(run.id, run.trial)
        self._audit.any_chosen |= outcome.audited_step is not None

    def start(self, trial: Trial) -> None:
        opened = OpenTrial(trial, self._rules.objectives)
        run_id = self._expand(trial.params, self._rules.first_seed).run_id
        opened.folded_into = self._folding.into(run_id, trial.number)
        self._go_on(opened)

    def evaluated(self, run: Run, evaluation: Evaluation) -> list[str]:
        """Tell the search of a rung of the first seed; returns the runs that are to stop.

        Further seeds are the race's concern. A folded trial has no say: its run is another's,
        which may be audited.
        """
        if run.recipe.seed != self._rules.first_seed:
            return []
        stopped: list[str] = []
        for opened in self._waiting_for.get(run.id, ()):
            if opened.cut_at is not None or opened.folded_into is not None:
                continue
            self._standings.note(run, evaluation)
            number, step = opened.trial.number, evaluation.step
            if self._search.report(number, step, evaluation.score):
                self._cut(opened, step)
                stopped += [] if opened.audited else opened.under_way
        return stopped

    def finished(self, run: Run, outcome: Outcome) -> None:
        """A run has ended: the trials that waited for it go on."""
        self._runs.remove(run)
        self._standings.add(run, outcome)
        for opened in self._waiting_for.pop(run.id, ()):
            opened.outcomes[run.id] = outcome
            self._go_on(opened)

    def cut(self, run: Run, step: int) -> bool:
        """By the pool, a run is not worth more; False where it is trained on all the same."""
        opened = self._waiting_for[run.id][0]
        self._cut(opened, step)
        return not opened.audited

    def with_audit(self, event: Finished) -> Finished:
        """The outcome, with the step where the run was to be pruned and was not."""
        for opened in self._waiting_for.get(event.run_id, ()):
            if opened.audited:
                outcome = replace(event.outcome, audited_step=opened.cut_at)
                return replace(event, outcome=outcome)
        return event

    def _go_on(self, opened: OpenTrial) -> None:
        """Start the seeds that are due; a trial with none, and none under way, is told."""
        while not opened.under_way and (seeds := self._due(opened)):
            for seed in seeds:
                self._start_seed(opened, seed)
        if not opened.under_way:
            self._tell(opened)

    def _due(self, opened: OpenTrial) -> Sequence[int]:
        left = self._rules.seeds[len(opened.outcomes) :]
        if self._rules.prunes and not opened.outcomes:
            return left[:1]
        if opened.is_pruned or not self._rules.race:
            return () if opened.is_pruned else left
        config_id = self._expand(opened.trial.params, self._rules.first_seed).config_id
        return left[:1] if self._standings.may_win(config_id) else ()

    def _start_seed(self, opened: OpenTrial, seed: int) -> None:
        trial = opened.trial
        run = Run(trial.number, trial.params, self._expand(trial.params, seed))
        self._runs.total.train(run.id)
        outcome = opened.outcomes[run.id] = self._runs.done(run.id)
        if outcome is None:
            self._wait_for(run, opened)
        elif seed == self._rules.first_seed and opened.folded_into is None:
            # It is done whatever the pruner says, which learns from it for the others.
            for evaluation in outcome.in_competition:
                self._search.report(trial.number, evaluation.step, evaluation.score)

    def _wait_for(self, run: Run, opened: OpenTrial) -> None:
        """A run may be under way for another trial of the same config: both wait for it."""
        self._waiting_for.setdefault(run.id, []).append(opened)
        if run.id not in self._runs:
            self._runs.add(self._standings.entering(run))

    def _cut(self, opened: OpenTrial, step: int) -> None:
        opened.cut_at = step
        opened.audited = self._audit.chooses(opened.trial.number)

    def _tell(self, opened: OpenTrial) -> None:
        trial = opened.trial
        self._search.tell(trial.number, opened.value, opened.reason, pruned=opened.is_pruned)
        if len(opened.outcomes) < len(self._rules.seeds):
            recipes = (self._expand(trial.params, seed) for seed in self._rules.seeds)
            self._runs.spare(recipe.run_id for recipe in recipes)


class _Folding:
    """Several trials may be the same training: it belongs to the first of them."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self.folded: list[int] = []

    def first_with(self, run_id: str, number: int) -> int:
        """The trial that trains, or has trained, a run: this one, where there is no other."""
        return self._first.setdefault(run_id, number)

    def into(self, run_id: str, number: int) -> int | None:
        """The earlier trial that this one, with this first run, is folded into."""
        first = self.first_with(run_id, number)
        if first == number:
            return None
        self.folded.append(number)
        return first
