"""The loop: ask configs, submit runs, wait for events, tell, record, show. The only writer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from sweep.core.recipe import Recipe
from sweep.loop.audit import Audit
from sweep.loop.confirm import Confirming
from sweep.loop.halving import Pool
from sweep.loop.open_trial import OpenTrial
from sweep.loop.packing import make_packs
from sweep.loop.ports import Executor, Records, Search, Totals, Watcher
from sweep.loop.race import Race
from sweep.loop.rules import Rules
from sweep.loop.total import Total
from sweep.loop.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Outcome,
    Paused,
    Run,
    RunState,
    Trial,
)
from sweep.space.space import Params

logger = logging.getLogger(__name__)


class Sweep:
    """Joins a search, an executor, the records and the watchers, and does none of their work.

    Args:
        expand: Turns a point of the space and a seed into a recipe.
        pack_key: Runs with equal keys may be trained together.
        rules: How much every config is trained.
        halt: Whether the sweep is to end early: what is under way then leaves at its next rung.
        num_runs: Distinct runs of the search, for people; None takes every trial for another
            config.
    """

    def __init__(
        self,
        *,
        study: str,
        search: Search,
        executor: Executor,
        records: Records,
        watchers: Sequence[Watcher],
        expand: Callable[[Params, int], Recipe],
        pack_key: Callable[[Recipe], str],
        rules: Rules,
        halt: Callable[[], bool] = lambda: False,
        num_runs: int | None = None,
    ) -> None:
        self._study = study
        self._search = search
        self._executor = executor
        self._records = records
        self._watchers = watchers
        self._expand = expand
        self._pack_key = pack_key
        self._rules = rules
        self._halt = halt
        self._halted = False
        self._total = Total(num_runs or search.num_trials * len(rules.seeds))
        self._waiting: list[Run] = []
        self._in_flight: dict[str, Run] = {}
        self._open: dict[int, OpenTrial] = {}
        #: Open trials that wait for a run.
        self._trials_of: dict[str, list[OpenTrial]] = {}
        #: The trial that trains, or has trained, a run.
        self._trial_of: dict[str, int] = {}
        self._folded: list[int] = []
        self._race = Race(rules.race)
        self._pool = Pool(rules.reduction, grace=rules.grace)
        self._audit = Audit(rules.audit)
        #: A run of every config that did not fail.
        self._run_of: dict[str, Run] = {}
        self._confirming = False

    @property
    def folded(self) -> list[int]:
        """Trials of this start whose training is that of an earlier one."""
        return sorted(self._folded)

    @property
    def num_runs(self) -> int:
        """Runs that there are when the budget is spent."""
        return self._total.runs

    @property
    def owes_confirmation(self) -> bool:
        """Whether the sweep ended, early, before its leaders were to be confirmed."""
        return not self._confirming and bool(self._to_confirm()[1])

    def run(self) -> None:
        """Train until the budget is spent. Whatever happens, everything is closed."""
        with ExitStack() as closing:
            # Last in, first out; each is closed whatever the closing of another meets.
            closing.callback(lambda: self._watch(lambda w: w.closed()))
            closing.callback(self._records.close)
            closing.callback(self._executor.close)
            finished = self._records.finished()
            for run, outcome in finished:
                self._remember(run, outcome)
            self._spare_seeds_of(finished)
            self._watch(lambda w: w.opened(Totals(self._study, self.num_runs)))
            for run, outcome in finished:
                self._reuse(run, outcome)
            while self._fill():
                self._executor.work(self._handle)

    def _remember(self, run: Run, outcome: Outcome) -> None:
        """What a run of an earlier start says of its config."""
        self._trial_of.setdefault(run.id, run.trial)
        self._audit.any_chosen |= outcome.audited_step is not None
        for evaluation in _in_competition(outcome):
            self._note(run, evaluation)
        self._score(run, outcome)

    def _reuse(self, run: Run, outcome: Outcome) -> None:
        self._watch(lambda w: w.run_reused(run, outcome))

    def _spare_seeds_of(self, finished: Sequence[tuple[Run, Outcome]]) -> None:
        """Seeds that an earlier start has not trained, since their config was out already."""
        known = {run.id for run, _ in finished}
        for run, outcome in finished:
            if run.recipe.seed == self._rules.seeds[0] and self._is_out(run, outcome):
                seeds = (replace(run.recipe, seed=seed).run_id for seed in self._rules.seeds)
                self._total.spare(seeds, trained=known)

    def _is_out(self, run: Run, outcome: Outcome) -> bool:
        """Whether a config gets no further seed after its first one."""
        is_behind = bool(self._rules.race) and not self._race.is_in(run.recipe.config_id)
        return outcome.state is RunState.PRUNED or is_behind

    def _fill(self) -> bool:
        """Submit until every worker is busy; False when nothing is left to do."""
        self._submit()
        while self._executor.num_open == 0 and not self._halts() and self._has_more():
            self._submit()
        return self._executor.num_open > 0

    def _has_more(self) -> bool:
        """Whether paused runs, or leaders to confirm, wait for the workers now."""
        return self._promote() or self._confirm()

    def _submit(self) -> None:
        free = self._executor.num_free
        if free <= 0 or self._halts():
            return
        self._ask_for(free * self._executor.pack_size)
        packs = make_packs(
            self._waiting, self._pack_key, most=self._executor.pack_size, workers=free
        )
        for pack in packs[:free]:
            self._executor.submit(pack)
        self._waiting = [run for pack in packs[free:] for run in pack]

    def _halts(self) -> bool:
        """Whether nothing more is taken up; asks what is under way to pause, once."""
        if self._halt() and not self._halted:
            self._halted = True
            self._executor.pause()
        return self._halted

    def _ask_for(self, runs: int) -> None:
        """Ask for configs until so many runs wait, or the search has no more."""
        while len(self._waiting) < runs:
            trial = self._search.ask()
            if trial is None:
                return
            self._start(trial)

    def _start(self, trial: Trial) -> None:
        opened = self._open[trial.number] = OpenTrial(trial, self._rules.objectives)
        run_id = self._expand(trial.params, self._rules.seeds[0]).run_id
        first = self._trial_of.setdefault(run_id, trial.number)
        if first != trial.number:
            opened.folded_into = first
            self._folded.append(trial.number)
        self._go_on(opened)

    def _go_on(self, opened: OpenTrial) -> None:
        """Start the seeds that are due; a trial with none, and none under way, is told."""
        while not opened.is_waiting and (seeds := self._due(opened)):
            for seed in seeds:
                self._start_seed(opened, seed)
        if not opened.is_waiting:
            self._tell(opened)

    def _due(self, opened: OpenTrial) -> Sequence[int]:
        left = self._rules.seeds[len(opened.outcomes) :]
        if self._rules.prunes and not opened.outcomes:
            return left[:1]
        if opened.is_pruned or not self._rules.race:
            return () if opened.is_pruned else left
        config_id = self._expand(opened.trial.params, self._rules.seeds[0]).config_id
        return left[:1] if self._race.is_in(config_id) else ()

    def _start_seed(self, opened: OpenTrial, seed: int) -> None:
        trial = opened.trial
        run = Run(trial.number, trial.params, self._expand(trial.params, seed))
        self._total.train(run.id)
        opened.outcomes[run.id] = self._records.done(run.id)
        if (outcome := opened.outcomes[run.id]) is not None:
            if seed == self._rules.seeds[0] and opened.folded_into is None:
                # It is done whatever the pruner says, which learns from it for the others.
                for evaluation in _in_competition(outcome):
                    self._search.report(trial.number, evaluation.step, evaluation.pearson)
            return
        self._trials_of.setdefault(run.id, []).append(opened)
        # A run may be under way for another trial of the same config: both wait for it.
        if run.id not in self._in_flight:
            self._add(self._pool.entering(run) if seed == self._rules.seeds[0] else run)

    def _add(self, run: Run) -> None:
        self._in_flight[run.id] = run
        self._records.add(run)
        self._waiting.append(run)

    def _handle(self, event: Event) -> None:
        # Also where the executor comes back only when a pack has ended.
        self._halts()
        run = self._in_flight[event.run_id]
        if isinstance(event, Finished):
            event = self._with_audit(event)
        self._records.handle(event)
        self._watch(lambda w: w.run_event(run, event))
        if isinstance(event, Evaluated):
            self._report(run, event.evaluation)
        elif isinstance(event, Paused):
            self._pool.pause(run, event.outcome)
        elif isinstance(event, Finished):
            self._finish(run, event.outcome)

    def _finish(self, run: Run, outcome: Outcome) -> None:
        del self._in_flight[run.id]
        self._score(run, outcome)
        for opened in self._trials_of.pop(run.id, ()):
            opened.outcomes[run.id] = outcome
            self._go_on(opened)

    def _score(self, run: Run, outcome: Outcome) -> None:
        if outcome.state is RunState.FAILED:
            self._pool.forget(run.id)
            return
        self._run_of.setdefault(run.recipe.config_id, run)
        if outcome.pearson is not None and run.recipe.seed in self._rules.seeds:
            self._race.add(run.recipe.config_id, run.recipe.seed, outcome.pearson)

    def _report(self, run: Run, evaluation: Evaluation) -> None:
        """Tell the search of a rung of the first seed, and cut the trial if it says so.

        Further seeds are the race's concern. A folded trial has no say: its run is another's,
        which may be audited.
        """
        if run.recipe.seed != self._rules.seeds[0]:
            return
        for opened in self._trials_of.get(run.id, ()):
            if opened.cut_at is not None or opened.folded_into is not None:
                continue
            self._note(run, evaluation)
            number, step = opened.trial.number, evaluation.step
            if self._search.report(number, step, evaluation.pearson):
                self._cut(opened, step)
                if not opened.audited:
                    for run_id, outcome in opened.outcomes.items():
                        if outcome is None:
                            self._executor.stop(run_id, f"pruned at step {step}")

    def _note(self, run: Run, evaluation: Evaluation) -> None:
        if run.recipe.seed == self._rules.seeds[0]:
            self._pool.note(run.id, evaluation)

    def _cut(self, opened: OpenTrial, step: int) -> None:
        opened.cut_at = step
        opened.audited = self._audit.chooses(opened.trial.number)

    def _with_audit(self, event: Finished) -> Finished:
        """The outcome, with the step where the run was to be pruned and was not."""
        for opened in self._trials_of.get(event.run_id, ()):
            if opened.audited:
                outcome = replace(event.outcome, audited_step=opened.cut_at)
                return replace(event, outcome=outcome)
        return event

    def _promote(self) -> bool:
        """Decide about the runs that wait at a rung; False when none does."""
        promotion = self._pool.promote()
        if promotion is None:
            return False
        for run in promotion.going_on:
            self._add(run)
        for run, outcome, step in promotion.left:
            opened = self._open[run.trial]
            self._cut(opened, step)
            if opened.audited:
                self._add(replace(run, until=None))
            else:
                self._handle(Finished(run.id, outcome))
        return True

    def _confirm(self) -> bool:
        """Once the search is over, train its leaders on fresh seeds; False without any."""
        if self._confirming:
            return False
        self._confirming = True
        plan, runs = self._to_confirm()
        if not runs:
            return False
        self._records.confirms(plan)
        missing = [run for run in runs if self._records.done(run.id) is None]
        for run in missing:
            self._add(run)
        self._total.planned += len(runs)
        configs = f"{len(plan.config_ids)} config{'s' * (len(plan.config_ids) > 1)}"
        self._plan_again(f"confirming {configs}, {len(plan.seeds)} fresh seeds each")
        return bool(missing)

    def _to_confirm(self) -> tuple[Confirming, list[Run]]:
        rule = self._rules.confirmation
        return rule.planned(self._race.scores, run_of=self._run_of, used=self._rules.seeds)

    def _tell(self, opened: OpenTrial) -> None:
        number = opened.trial.number
        self._search.tell(number, opened.value, opened.reason, pruned=opened.is_pruned)
        del self._open[number]
        if len(opened.outcomes) < len(self._rules.seeds):
            recipes = (self._expand(opened.trial.params, seed) for seed in self._rules.seeds)
            self._total.spare(r.run_id for r in recipes if self._is_untrained(r.run_id))
            self._plan_again(None)

    def _is_untrained(self, run_id: str) -> bool:
        """Neither trained nor under way, for this trial or for another of the same config."""
        return run_id not in self._in_flight and self._records.done(run_id) is None

    def _plan_again(self, reason: str | None) -> None:
        totals = Totals(self._study, self.num_runs)
        self._watch(lambda w: w.planned(totals, reason))

    def _watch(self, call: Callable[[Watcher], None]) -> None:
        for watcher in self._watchers:
            try:
                call(watcher)
            except OSError as error:
                # A full disk, most often: nothing that a traceback would explain.
                logger.warning("A watcher failed (%s); the sweep goes on.", error)
            except Exception:
                logger.exception("A watcher failed; the sweep goes on.")


def _in_competition(outcome: Outcome) -> list[Evaluation]:
    """Beyond its cut, an audited run is out of the competition."""
    cut_at = outcome.audited_step
    return [e for e in outcome.evaluations if cut_at is None or e.step <= cut_at]
