"""`looks.json`: how often somebody has looked at a verdict of this study while it grew.

Whoever adds seeds or configs until the verdict pleases will be pleased by luck. So every verdict
that was shown on other scores than the ones before is kept, and later ones allow for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sweep.core.files import write_text
from sweep.loop.trial import RunState
from sweep.stats.verdict import Verdict
from sweep.study.files import StudyFiles
from sweep.study.reading import read_json, to_json
from sweep.study.record import Record


@dataclass(frozen=True)
class Look:
    """A verdict that was shown: when, on how many complete runs, what it said.

    `scores` stands for the runs and their scores, `pairs` for the dev pairs that they are on.
    """

    at: str
    runs: int
    scores: str
    pairs: str
    best: str
    beats_baseline: bool | None


@dataclass(frozen=True)
class Looks:
    """All looks at a study, also those before it was begun again on the same dev pairs."""

    looks: tuple[Look, ...] = ()

    def number(self, records: Iterable[Record], files: StudyFiles) -> int:
        """Which look a verdict on these records is, the first one 1; a known one keeps its
        number."""
        known, scores = self._on(_digest_of_pairs(files)), _digest_of_scores(records)
        if scores in known:
            return known.index(scores) + 1
        return len(known) + 1

    def with_one(self, records: Iterable[Record], verdict: Verdict, files: StudyFiles) -> Looks:
        """With this one, if its scores are new."""
        complete = [r for r in records if r.state is RunState.COMPLETE]
        pairs, scores = _digest_of_pairs(files), _digest_of_scores(complete)
        if scores in self._on(pairs):
            return self
        now = datetime.now(UTC).isoformat(timespec="seconds")
        look = Look(now, len(complete), scores, pairs, verdict.best, verdict.beats_baseline)
        return replace(self, looks=(*self.looks, look))

    def _on(self, pairs: str) -> list[str]:
        """The scores that were looked at, on these dev pairs."""
        return [look.scores for look in self.looks if look.pairs == pairs]


def read_looks(files: StudyFiles) -> Looks:
    """None where nobody has looked; a file that can't be read counts as such."""
    return read_json(files.looks, Looks, otherwise="this look counts as the first") or Looks()


def write_looks(files: StudyFiles, looks: Looks) -> None:
    write_text(files.looks, to_json(looks))


def _digest_of_scores(records: Iterable[Record]) -> str:
    lines = sorted(
        f"{record.run.id} {record.outcome.score}"
        for record in records
        if record.state is RunState.COMPLETE and record.outcome is not None
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _digest_of_pairs(files: StudyFiles) -> str:
    try:
        return hashlib.sha256(files.dev_labels.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""
