"""How far the scoring of a file is."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sweep.core.words import duration


class RowProgress:
    """How many rows are scored: a bar on a terminal, a line now and then elsewhere.

    Args:
        total: Rows in all.
        done: Rows that an earlier run has scored.
        say: Shows the user a line.
    """

    _EVERY_SECONDS = 30.0

    def __init__(self, console: Console, total: int, done: int, say: Callable[[str], None]) -> None:
        self._total, self._done, self._say = total, done, say
        self._before, self._began = done, time.monotonic()
        self._said = self._began
        self._bar = Progress(
            TextColumn("scoring"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=done, pace="")
        self._is_terminal = console.is_terminal

    def __enter__(self) -> RowProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def add(self, rows: int) -> None:
        """So many more are scored."""
        self._done += rows
        now = time.monotonic()
        rate = (self._done - self._before) / max(now - self._began, 1e-9)
        left = duration((self._total - self._done) / max(rate, 1e-9))
        pace = f"{rate:,.0f} a second, {left} left"
        self._bar.update(self._task, completed=self._done, pace=pace)
        if not self._is_terminal and now - self._said >= self._EVERY_SECONDS:
            self._said = now
            self._say(f"{self._done:,} of {self._total:,} rows scored, {pace}")
