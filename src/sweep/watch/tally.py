"""Where a sweep stands: what is done, what is under way, how long it will take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sweep.loop.trial import Outcome, Run, RunState


@dataclass
class Going:
    """A run under way."""

    run: Run
    step: int = 0
    total: int = 0
    score: float | None = None
    #: What was seen of it so far, evaluations and glimpses.
    curve: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        return self.step / self.total if self.total else 0.0

    @property
    def in_words(self) -> str:
        """`dev 0.6123` after an evaluation, `about 0.53` after a glimpse, else nothing."""
        if self.score is not None:
            return f"dev {self.score:.4f}"
        return f"about {self.curve[-1]:.2f}" if self.curve else ""


@dataclass
class Tally:
    """Where the sweep stands; its clock starts with the first run of this start."""

    runs: int = 0
    done: int = 0
    failed: int = 0
    trained: int = 0
    best: tuple[float, str] | None = None
    going: dict[str, Going] = field(default_factory=dict)
    began: float = field(default_factory=lambda: time.monotonic())

    def count(self, run: Run, outcome: Outcome) -> None:
        self.done += 1
        # Configs may be added while it runs.
        self.runs = max(self.runs, self.done)
        self.failed += outcome.state is RunState.FAILED
        if outcome.score is not None and (self.best is None or outcome.score > self.best[0]):
            self.best = (outcome.score, run.name)

    @property
    def eta_seconds(self) -> float | None:
        """Time left at the pace of this start; None until something can be said."""
        worked = self.trained + sum(g.share for g in self.going.values())
        left = self.runs - self.done - sum(g.share for g in self.going.values())
        elapsed = time.monotonic() - self.began
        if worked < 0.05 or elapsed < 3:
            return None
        return max(0.0, left * elapsed / worked)
