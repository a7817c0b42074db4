"""What the terminal shows: a live view with progress and ETA, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from sweep.core.words import compact, duration, name_of, value_text
from sweep.loop.ports import Totals
from sweep.loop.trial import (
    Evaluated,
    Event,
    Finished,
    Outcome,
    Paused,
    PutBack,
    Run,
    RunState,
    Started,
)
from sweep.loop.trial import Progress as StepProgress
from sweep.study.rows import ConfigRow


@dataclass
class _Going:
    """A run under way."""

    run: Run
    step: int = 0
    total: int = 0
    pearson: float | None = None

    @property
    def share(self) -> float:
        return self.step / self.total if self.total else 0.0


@dataclass
class _Tally:
    """Where the sweep stands; its clock starts with the first run of this start."""

    runs: int = 0
    done: int = 0
    failed: int = 0
    trained: int = 0
    best: tuple[float, str] | None = None
    going: dict[str, _Going] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def count(self, run: Run, outcome: Outcome) -> None:
        self.done += 1
        # Configs may be added while it runs.
        self.runs = max(self.runs, self.done)
        self.failed += outcome.state is RunState.FAILED
        if outcome.pearson is not None and (self.best is None or outcome.pearson > self.best[0]):
            self.best = (outcome.pearson, run.name)

    @property
    def eta_seconds(self) -> float | None:
        """Time left at the pace of this start; None until something can be said."""
        worked = self.trained + sum(g.share for g in self.going.values())
        left = self.runs - self.done - sum(g.share for g in self.going.values())
        elapsed = time.monotonic() - self.began
        if worked < 0.05 or elapsed < 3:
            return None
        return max(0.0, left * elapsed / worked)


class ConsoleWatcher:
    """A live view on a terminal; one line per event that matters when output is a file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tally = _Tally()
        self._live: Live | None = None

    def opened(self, totals: Totals) -> None:
        self._tally = _Tally(runs=totals.runs)
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
            tally.going[run.id] = _Going(run)
            if self._live is None:
                self._say(f"started      {run.name}")
        elif isinstance(event, StepProgress) and run.id in tally.going:
            tally.going[run.id].step, tally.going[run.id].total = event.step, event.total_steps
        elif isinstance(event, Evaluated) and run.id in tally.going:
            tally.going[run.id].pearson = event.evaluation.pearson
        elif isinstance(event, Paused):
            tally.going.pop(run.id, None)
            if self._live is None:
                self._say(f"waits        {run.name} at step {event.outcome.steps}")
        elif isinstance(event, PutBack):
            tally.going.pop(run.id, None)
            self._say(f"starts again {run.name}: {event.worker} died ({event.cause})")
        elif isinstance(event, Finished):
            tally.going.pop(run.id, None)
            tally.count(run, event.outcome)
            tally.trained += 1
            self._say(f"{tally.done:>4}/{tally.runs:<4}    {_scored(run, event.outcome)}")
        if self._live is not None:
            self._live.update(self._view())

    def closed(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, line: str) -> None:
        # No markup, no wrapping: names are the user's, and a line stays a line in a file.
        self._console.print(Text(line), soft_wrap=True)

    def _view(self) -> Group:
        tally = self._tally
        bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        for going in tally.going.values():
            note = "" if going.pearson is None else f"dev {going.pearson:.4f}"
            total = going.total or None
            bars.add_task(going.run.name[:32], total=total, completed=going.step, note=note)
        bars.add_task("all runs", total=tally.runs, completed=tally.done, note=self._summary())
        return Group(bars)

    def _summary(self) -> str:
        eta = self._tally.eta_seconds
        parts = [] if eta is None else [f"{duration(eta)} left"]
        if self._tally.failed:
            parts.append(f"{self._tally.failed} failed")
        if self._tally.best:
            parts.append(f"best {self._tally.best[0]:.4f}")
        return ", ".join(parts)


def ranked_table(rows: Sequence[ConfigRow], *, keys: Sequence[str], limit: int = 20) -> Table:
    """The leaderboard for the terminal."""
    # Narrow on purpose: with five searched keys it fits 80 columns.
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    add_columns(table, "#", "Pearson", "95 % interval", "tied")
    add_columns(table, *map(name_of, keys), folded=True)
    add_columns(table, "LoRA", "s")
    for row in rows[:limit]:
        table.add_row(*map(Text, _cells(row, keys)))
    return table


def add_columns(table: Table, *names: str, folded: bool = False) -> None:
    """Columns of numbers, which stay whole, or of settings: a long one takes several lines."""
    for name in names:
        table.add_column(name, justify="right", no_wrap=not folded, overflow="fold")


def _cells(row: ConfigRow, keys: Sequence[str]) -> list[str]:
    is_known = row.ci_low is not None and row.ci_high is not None
    return [
        str(row.rank),
        f"{row.mean:.4f}",
        f"{row.ci_low:.3f} {row.ci_high:.3f}" if is_known else "",
        "yes" if row.tied_with_best else "",
        *(value_text(row.values[key]) for key in keys),
        "" if row.lora_params is None else compact(row.lora_params),
        "" if row.train_seconds is None else f"{row.train_seconds:.0f}",
    ]


def _scored(run: Run, outcome: Outcome) -> str:
    if outcome.pearson is None:
        return f"{run.name}  {outcome.state.value}: {outcome.reason}"
    seconds = "" if outcome.train_seconds is None else f"  {duration(outcome.train_seconds)}"
    return f"{run.name}  Pearson {outcome.pearson:.4f}{seconds}"
