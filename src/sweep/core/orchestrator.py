"""The loop: ask configs, submit runs, wait for events, tell, record, show. The only writer."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from sweep.core.packing import make_packs
from sweep.core.ports import Executor, Records, Search, Totals, Watcher
from sweep.core.recipe import Recipe
from sweep.core.space import Params
from sweep.core.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Outcome,
    Run,
    RunState,
    Trial,
)

logger = logging.getLogger(__name__)


class Sweep:
    """Joins a search, an executor, the records and the watchers, and does none of their work.

    Args:
        expand: Turns a point of the space and a seed into a recipe.
        pack_key: Runs with equal keys may be trained together.
        seeds: Seeds that every config is trained with; a trial's value is the mean over them.
        audit: Share of the trials to be pruned that is trained on all the same; the first one is.
        num_runs: Distinct runs in total, for people; None takes every trial for another config.
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
        seeds: Sequence[int],
        audit: float = 0.0,
        num_runs: int | None = None,
    ) -> None:
        self._study = study
        self._search = search
        self._executor = executor
        self._records = records
        self._watchers = watchers
        self._expand = expand
        self._pack_key = pack_key
        self._seeds = seeds
        self._audit = audit
        #: Step at which a trial was to be pruned, and whether it is trained on to the end.
        self._cut: dict[int, tuple[int, bool]] = {}
        #: Scores of an open trial's runs, by step and run.
        self._rungs: dict[int, dict[int, dict[str, float]]] = {}
        self._num_runs = num_runs or search.num_trials * len(seeds)
        self._waiting: list[Run] = []
        self._in_flight: dict[str, Run] = {}
        #: The trial that trains, or has trained, a run.
        self._trial_of: dict[str, int] = {}
        self._open: dict[int, dict[str, Outcome | None]] = {}
        self._folded: dict[int, int] = {}

    @property
    def folded(self) -> list[int]:
        """Trials of this start whose training is that of an earlier one."""
        return sorted(self._folded)

    def run(self) -> None:
        """Train until the budget is spent. Whatever happens, everything is closed."""
        try:
            self._watch(lambda w: w.opened(Totals(self._study, self._num_runs)))
            for run, outcome in self._records.finished():
                self._reuse(run, outcome)
            while self._fill():
                self._executor.work(self._handle)
        finally:
            self._executor.close()
            self._records.close()
            self._watch(lambda w: w.closed())

    def _fill(self) -> bool:
        """Submit until every worker is busy; False when nothing is left to wait for."""
        free = self._executor.num_free
        if free > 0:
            self._ask_for(free * self._executor.pack_size)
            packs = make_packs(
                self._waiting, self._pack_key, most=self._executor.pack_size, workers=free
            )
            for pack in packs[:free]:
                self._executor.submit(pack)
            self._waiting = [run for pack in packs[free:] for run in pack]
        return self._executor.num_open > 0

    def _ask_for(self, runs: int) -> None:
        """Ask for configs until so many runs wait, or the search has no more."""
        while len(self._waiting) < runs:
            trial = self._search.ask()
            if trial is None:
                return
            self._start(trial)

    def _start(self, trial: Trial) -> None:
        runs = [Run(trial.number, trial.params, self._expand(trial.params, s)) for s in self._seeds]
        self._open[trial.number] = {run.id: self._records.done(run.id) for run in runs}
        first = self._trial_of.setdefault(runs[0].id, trial.number)
        if first != trial.number:
            self._folded[trial.number] = first
        for run in runs:
            # A run may be under way for another trial of the same config: both wait for it.
            if self._open[trial.number][run.id] is None and run.id not in self._in_flight:
                self._in_flight[run.id] = run
                self._records.add(run)
                self._waiting.append(run)
        self._tell_when_complete(trial.number)

    def _reuse(self, run: Run, outcome: Outcome) -> None:
        self._trial_of[run.id] = run.trial
        self._watch(lambda w: w.run_reused(run, outcome))

    def _handle(self, event: Event) -> None:
        run = self._in_flight[event.run_id]
        if isinstance(event, Finished):
            event = self._with_audit(event)
        self._records.handle(event)
        self._watch(lambda w: w.run_event(run, event))
        if isinstance(event, Evaluated):
            self._report(run, event.evaluation)
        if isinstance(event, Finished):
            del self._in_flight[run.id]
            for number in [n for n, outcomes in self._open.items() if run.id in outcomes]:
                self._open[number][run.id] = event.outcome
                self._tell_when_complete(number)

    def _report(self, run: Run, evaluation: Evaluation) -> None:
        """Tell the search of a rung once all seeds are there, and cut the trial if it says so.

        A folded trial has no say: its run is another's, which may be audited.
        """
        for number, outcomes in self._open.items():
            if run.id not in outcomes or number in self._cut or number in self._folded:
                continue
            scores = self._rungs.setdefault(number, {}).setdefault(evaluation.step, {})
            scores[run.id] = evaluation.pearson
            if len(scores) == len(outcomes) and self._search.report(
                number, evaluation.step, fmean(scores.values())
            ):
                self._prune(number, evaluation.step)

    def _prune(self, number: int, step: int) -> None:
        chosen = random.Random(f"audit {number}").random() < self._audit
        audited = self._audit > 0 and (chosen or not self._cut)
        self._cut[number] = (step, audited)
        if not audited:
            for run_id, outcome in self._open[number].items():
                if outcome is None:
                    self._executor.stop(run_id, f"pruned at step {step}")

    def _with_audit(self, event: Finished) -> Finished:
        """The outcome, with the step where the run was to be pruned and was not."""
        for number, outcomes in self._open.items():
            if event.run_id in outcomes and self._cut.get(number, (0, False))[1]:
                outcome = replace(event.outcome, audited_step=self._cut[number][0])
                return replace(event, outcome=outcome)
        return event

    def _tell_when_complete(self, number: int) -> None:
        outcomes = self._open[number].values()
        if any(outcome is None for outcome in outcomes):
            return
        finished = [outcome for outcome in outcomes if outcome is not None]
        scores = [o.pearson for o in finished if o.pearson is not None]
        reasons = [o.reason for o in finished if o.reason]
        if number in self._folded:
            reasons.append(f"the same training as trial {self._folded[number]}")
        value = fmean(scores) if scores else None
        pruned = value is None and any(o.state is RunState.PRUNED for o in finished)
        self._search.tell(number, value, "; ".join(reasons) or None, pruned=pruned)
        del self._open[number]
        self._rungs.pop(number, None)

    def _watch(self, call: Callable[[Watcher], None]) -> None:
        for watcher in self._watchers:
            try:
                call(watcher)
            except Exception:
                logger.exception("A watcher failed; the sweep goes on.")
