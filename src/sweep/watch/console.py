"""What the terminal shows: a live view with progress and ETA, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from sweep.core.words import counted, duration
from sweep.loop.ports import Totals
from sweep.loop.trial import (
    Evaluated,
    Event,
    Finished,
    Glimpsed,
    Outcome,
    Paused,
    PutBack,
    Run,
    Started,
)
from sweep.loop.trial import Progress as StepProgress
from sweep.watch.tally import Going, Tally
from sweep.watch.terminal import sparkline

#: Where output is no terminal, a line says so often how far the runs under way are.
_LINE_SECONDS = 30.0
#: So old is the last line before an evaluation is told: those of a pack come together.
_SCORE_SECONDS = 3.0
#: Characters of a run's name in the live view: all that stands beside it fills 80 columns.
_NAME = 38


class ConsoleWatcher:
    """A live view on a terminal; lines of what happened and of how far it is elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tally = Tally()
        self._live: Live | None = None
        self._said_at = time.monotonic()

    def opened(self, totals: Totals) -> None:
        self._tally = Tally(runs=totals.runs)
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def planned(self, totals: Totals, reason: str | None) -> None:
        self._tally.runs = totals.runs
        if reason:
            self._say(reason)

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        self._tally.count(run, outcome)
        self._say(f"done before  {_scored(run, outcome)}")

    def run_event(self, run: Run, event: Event) -> None:
        tally = self._tally
        if isinstance(event, Started):
            tally.going[run.id] = Going(run)
            if self._live is None:
                self._say(f"started      {run.name}")
        elif isinstance(event, StepProgress) and run.id in tally.going:
            tally.going[run.id].step, tally.going[run.id].total = event.step, event.total_steps
        elif isinstance(event, Evaluated) and run.id in tally.going:
            tally.going[run.id].score = event.evaluation.score
            tally.going[run.id].curve.append(event.evaluation.score)
        elif isinstance(event, Glimpsed) and run.id in tally.going:
            tally.going[run.id].curve.append(event.glimpse.score)
        elif isinstance(event, Paused):
            tally.going.pop(run.id, None)
            if self._live is None:
                self._say(f"waits        {run.name} at step {event.outcome.steps}")
        elif isinstance(event, PutBack):
            tally.going.pop(run.id, None)
            how = "died" if event.died else "left"
            self._say(f"starts again {run.name}: {event.worker} {how} ({event.cause})")
        elif isinstance(event, Finished):
            tally.going.pop(run.id, None)
            tally.count(run, event.outcome)
            tally.trained += 1
            self._say(f"{tally.done:>4}/{tally.runs:<4}    {_scored(run, event.outcome)}")
        if self._live is not None:
            self._live.update(self._view())
        elif tally.going and not isinstance(event, Started):
            waited = time.monotonic() - self._said_at
            is_score = isinstance(event, Evaluated | Glimpsed)
            if waited >= (_SCORE_SECONDS if is_score else _LINE_SECONDS):
                self._say(self._how_far())

    def closed(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _how_far(self) -> str:
        """`under way    4 runs, up to step 60 of 200, dev up to 0.61; 0 of 8 done; 7 min left`."""
        tally = self._tally
        ahead = max(tally.going.values(), key=lambda going: going.share)
        first = [counted(len(tally.going), "run")]
        first += [f"up to step {ahead.step} of {ahead.total}"] if ahead.total else []
        first += [seen] if (seen := self._seen_so_far()) else []
        parts = [", ".join(first), f"{tally.done} of {tally.runs} done", self._summary()]
        return f"under way    {'; '.join(part for part in parts if part)}"

    def _seen_so_far(self) -> str:
        """The best of what was seen of the runs under way; a glimpse is called one."""
        going = [one for one in self._tally.going.values() if one.curve]
        if scores := [one.score for one in going if one.score is not None]:
            return f"dev up to {max(scores):.4f}"
        return f"dev up to about {max(one.curve[-1] for one in going):.2f}" if going else ""

    def _say(self, line: str) -> None:
        self._said_at = time.monotonic()
        # No markup, no wrapping: names are the user's, and a line stays a line in a file.
        self._console.print(Text(line), soft_wrap=True)

    def _view(self) -> Group:
        tally = self._tally
        bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=8),
            MofNCompleteColumn(),
            TextColumn("{task.fields[curve]:8}"),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        for going in tally.going.values():
            bars.add_task(
                going.run.name[:_NAME],
                total=going.total or None,
                completed=going.step,
                note=going.in_words,
                curve=sparkline(going.curve, self._console),
            )
        bars.add_task("all runs", total=tally.runs, completed=tally.done, note="", curve="")
        return Group(bars, Text(self._leader(), no_wrap=True, overflow="ellipsis"))

    def _leader(self) -> str:
        """`7 min left, best 0.8362: 001 r=8 on qv s0`."""
        best = self._tally.best
        return self._summary() + (f": {best[1]}" if best else "")

    def _summary(self) -> str:
        eta = self._tally.eta_seconds
        parts = [] if eta is None else [f"{duration(eta)} left"]
        if self._tally.failed:
            parts.append(f"{self._tally.failed} failed")
        if self._tally.best:
            parts.append(f"best {self._tally.best[0]:.4f}")
        return ", ".join(parts)


def _scored(run: Run, outcome: Outcome) -> str:
    if outcome.score is None:
        return f"{run.name}  {outcome.state.value}: {outcome.reason}"
    seconds = "" if outcome.train_seconds is None else f"  {duration(outcome.train_seconds)}"
    return f"{run.name}  {run.recipe.task.measure.word} {outcome.score:.4f}{seconds}"
