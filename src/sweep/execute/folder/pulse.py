"""Whether somebody on another machine still lives, by the clock of whoever asks."""

from __future__ import annotations

import time


class Pulse:
    """Looks at a mark that changes as long as somebody lives.

    No clock of another machine counts, nor how long the looker itself was away: a process that was
    stopped, or a laptop that was shut, finds everybody silent when it comes back.

    Args:
        limit_s: Seconds without a change after which the other counts as lost.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._mark: object = None
        self._looked = self._changed = time.monotonic()

    def beats(self, mark: object) -> bool:
        """Whether the other still counts as alive, now that its mark is this one."""
        now = time.monotonic()
        away = now - self._looked
        if mark != self._mark:
            self._mark, self._changed = mark, now
        else:
            self._changed += max(0.0, away - self._limit_s / 4)
        self._looked = now
        return now - self._changed <= self._limit_s
