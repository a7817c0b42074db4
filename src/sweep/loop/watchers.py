"""All watchers as one, which none of them can stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from sweep.loop.ports import Totals, Watcher
from sweep.loop.trial import Event, Outcome, Run

logger = logging.getLogger(__name__)


class Watchers:
    """A `Watcher` that passes everything on; where one fails, the others and the sweep go on."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def opened(self, totals: Totals) -> None:
        self._each(lambda watcher: watcher.opened(totals))

    def planned(self, totals: Totals, reason: str | None) -> None:
        self._each(lambda watcher: watcher.planned(totals, reason))

    def run_event(self, run: Run, event: Event) -> None:
        self._each(lambda watcher: watcher.run_event(run, event))

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        self._each(lambda watcher: watcher.run_reused(run, outcome))

    def closed(self) -> None:
        self._each(lambda watcher: watcher.closed())

    def _each(self, call: Callable[[Watcher], None]) -> None:
        for watcher in self._watchers:
            try:
                call(watcher)
            except OSError as error:
                # A full disk, most often: nothing that a traceback would explain.
                logger.warning("A watcher failed (%s); the sweep goes on.", error)
            except Exception:
                logger.exception("A watcher failed; the sweep goes on.")
