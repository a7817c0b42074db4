"""Keeps the report of a running sweep fresh."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sweep.loop.ports import Totals
from sweep.loop.trial import Event, Finished, Outcome, Run
from sweep.watch.report.build import build_report

#: Share of the sweep's time that rebuilding may take.
_LARGEST_SHARE = 0.05


class ReportWatcher:
    """A `Watcher` that rebuilds the report now and then.

    Args:
        every_s: Shortest time between two builds; more where a build takes long, so that
            building never takes more than a twentieth of the time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every_s: float = 20.0,
        build: Callable[[Path], object] = build_report,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._every_s = every_s
        self._build = build
        self._clock = clock
        self._next = 0.0

    def opened(self, totals: Totals) -> None:
        """The first build waits for something to show."""
        self._next = self._clock()

    def planned(self, totals: Totals, reason: str | None) -> None:
        """The report shows what is there."""

    def run_event(self, run: Run, event: Event) -> None:
        if isinstance(event, Finished) and self._clock() >= self._next:
            self._rebuild()

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        """Nothing new to show: the run is in the report of the earlier start."""

    def closed(self) -> None:
        self._rebuild()

    def _rebuild(self) -> None:
        start = self._clock()
        self._build(self._folder)
        end = self._clock()
        self._next = end + max(self._every_s, (end - start) / _LARGEST_SHARE)
