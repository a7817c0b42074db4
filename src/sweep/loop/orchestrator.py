"""The loop: ask configs, submit runs, wait for events, tell, record, show. The only writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from sweep.core.recipe import Recipe
from sweep.loop.ports import Executor, Halting, Records, Search, Watcher
from sweep.loop.queue import RunQueue
from sweep.loop.rules import Rules
from sweep.loop.standings import Standings
from sweep.loop.total import Total
from sweep.loop.trial import Evaluated, Event, Finished, Outcome, Paused, Run
from sweep.loop.trials import Trials
from sweep.loop.watchers import Watchers
from sweep.space.space import Params


class Sweep:
    """Joins a search, an executor, the records and the watchers, and does none of their work.

    Args:
        expand: Turns a point of the space and a seed into a recipe.
        pack_key: Runs with equal keys may be trained together.
        rules: How much every config is trained.
        halt: Whether the sweep is to end early, and where what is under way leaves.
        num_runs: Distinct runs of the search, for people; None takes every trial for another
            config.
        again: Runs of trials that the search has been told of, whose records are lost: they are
            trained once more, and the search hears nothing of it.
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
        halt: Callable[[], Halting] = lambda: Halting.NO,
        num_runs: int | None = None,
        again: Sequence[Run] = (),
    ) -> None:
        self._again = tuple(again)
        self._search = search
        self._executor = executor
        self._records = records
        self._watcher = Watchers(watchers)
        self._halt = halt
        self._halted = Halting.NO
        self._confirming = False
        total = Total(num_runs or search.num_trials * len(rules.seeds))
        self._runs = RunQueue(
            study=study, total=total, records=records, watcher=self._watcher, pack_key=pack_key
        )
        self._standings = Standings(rules)
        self._trials = Trials(
            rules=rules, expand=expand, search=search, runs=self._runs, standings=self._standings
        )

    @property
    def folded(self) -> list[int]:
        """Trials of this start whose training is that of an earlier one."""
        return self._trials.folded

    @property
    def num_runs(self) -> int:
        """Runs that there are when the budget is spent."""
        return self._runs.total.runs

    @property
    def owes_confirmation(self) -> bool:
        """Whether the sweep ended, early, before its leaders were to be confirmed."""
        return not self._confirming and bool(self._standings.to_confirm()[1])

    def run(self) -> None:
        """Train until the budget is spent. Whatever happens, everything is closed."""
        with ExitStack() as closing:
            # Last in, first out; each is closed whatever the closing of another meets.
            closing.callback(self._watcher.closed)
            closing.callback(self._records.close)
            closing.callback(self._executor.close)
            self._take_over(self._records.finished())
            while self._fill():
                self._executor.work(self._handle)

    def _take_over(self, finished: Sequence[tuple[Run, Outcome]]) -> None:
        """Begin where an earlier start has ended."""
        for run, outcome in finished:
            self._trials.remember(run, outcome)
            self._standings.remember(run, outcome)
        self._runs.total.spare(self._standings.spared(finished))
        for run in self._again:
            self._runs.total.train(run.id)
        self._watcher.opened(self._runs.totals)
        for run, outcome in finished:
            self._watcher.run_reused(run, outcome)
        for run in self._again:
            self._runs.add(run)

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
        # Asked first: while every worker is busy, nothing else may happen for long.
        if self._halts() or (free := self._executor.num_free) <= 0:
            return
        most = self._executor.pack_size
        self._ask_for(free * most)
        for pack in self._runs.take(free, most=most):
            self._executor.submit(pack)

    def _ask_for(self, runs: int) -> None:
        """Ask for configs until so many runs wait, or the search has no more."""
        while self._runs.num_waiting < runs and (trial := self._search.ask()) is not None:
            self._trials.start(trial)

    def _halts(self) -> bool:
        """Whether nothing more is taken up; asks what is under way to pause."""
        wish = self._halt()
        if wish > self._halted:
            self._halted = wish
            self._executor.pause(at_step=wish is Halting.AT_STEP)
        return self._halted is not Halting.NO

    def _handle(self, event: Event) -> None:
        # Also where the executor comes back only when a pack has ended.
        self._halts()
        run = self._runs[event.run_id]
        if isinstance(event, Finished):
            event = self._trials.with_audit(event)
        self._records.handle(event)
        self._watcher.run_event(run, event)
        if isinstance(event, Evaluated):
            for run_id in self._trials.evaluated(run, event.evaluation):
                self._executor.stop(run_id, f"pruned at step {event.evaluation.step}")
        elif isinstance(event, Paused):
            self._standings.pause(run, event.outcome)
        elif isinstance(event, Finished):
            self._trials.finished(run, event.outcome)

    def _promote(self) -> bool:
        """Decide about the runs that wait at a rung; False when none does."""
        promotion = self._standings.promote()
        if promotion is None:
            return False
        for run in promotion.going_on:
            self._runs.add(run)
        for run, outcome, step in promotion.left:
            if self._trials.cut(run, step):
                self._handle(Finished(run.id, outcome))
            else:
                self._runs.add(replace(run, until=None))
        return True

    def _confirm(self) -> bool:
        """Once the search is over, train its leaders on fresh seeds; False without any."""
        if self._confirming:
            return False
        self._confirming = True
        plan, runs = self._standings.to_confirm()
        if not runs:
            return False
        self._records.confirms(plan)
        missing = [run for run in runs if self._runs.done(run.id) is None]
        for run in missing:
            self._runs.add(run)
        self._runs.total.planned += len(runs)
        configs = f"{len(plan.config_ids)} config{'s' * (len(plan.config_ids) > 1)}"
        self._runs.say_total(f"confirming {configs}, {len(plan.seeds)} fresh seeds each")
        return bool(missing)
