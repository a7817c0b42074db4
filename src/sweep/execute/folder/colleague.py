"""A worker as the driver knows it: by what it says, and by how long it has said nothing."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sweep.execute.folder.disk import new_lines, size_of
from sweep.execute.folder.messages import Hello, Message, from_line
from sweep.execute.folder.pulse import Pulse
from sweep.loop.trial import Run
from sweep.study.exchange import CrewMember


def now() -> str:
    """For people; nothing is compared with it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Colleague:
    """One worker of a session.

    Attributes:
        runs: That it has taken up and not finished.
        unheard: Messages that are still to be answered, in order.
        waits_since: The driver's clock, where the first of them can't be answered yet.
    """

    name: str
    file: Path
    pulse: Pulse
    hello: Hello | None = None
    pack: str | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    unheard: deque[Message] = field(default_factory=deque)
    since: str = field(default_factory=now)
    waits_since: float | None = None
    _offset: int = 0
    _number: int = 0

    def listen(self) -> bool:
        """Take in what it has said; whether it still counts as alive."""
        lines, self._offset = new_lines(self.file, self._offset)
        for number, message in filter(None, map(from_line, lines)):
            # What comes twice was written by a disk that was full in between.
            if number > self._number:
                self._number = number
                self.unheard.append(message)
        return self.pulse.beats((self._offset, size_of(self.file)))

    def may_wait(self, seconds: float) -> bool:
        """Whether what it has left, and nobody can see, may still be waited for."""
        self.waits_since = self.waits_since or time.monotonic()
        return time.monotonic() - self.waits_since <= seconds

    def take_up(self, pack: str, runs: tuple[Run, ...]) -> None:
        self.pack, self.runs, self.since = pack, {run.id: run for run in runs}, now()

    def put_down(self, run_id: str) -> None:
        """A run has ended, or waits."""
        self.runs.pop(run_id, None)
        if not self.runs:
            self.pack, self.since = None, now()

    @property
    def member(self) -> CrewMember:
        hello = self.hello or Hello("unknown")
        return CrewMember(self.name, hello.host, self.since, hello.job, tuple(self.runs))
