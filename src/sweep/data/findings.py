"""What the guard finds in the pairs: values that a study keeps and others show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sweep.core.words import counted

#: The parts of a data set.
Split = Literal["train", "dev", "test", "holdout"]


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `count` is in rows of the last of `splits`."""

    kind: str
    level: Literal["info", "warn", "error"]
    splits: tuple[Split, ...]
    sentence: str
    count: int
    examples: tuple[Any, ...] = ()

    @property
    def crosses_train(self) -> bool:
        """Whether rows of train are found in another split."""
        return self.splits[0] == "train" and len(self.splits) == 2


@dataclass(frozen=True)
class Guard:
    """All findings; `leaking` train rows are also in dev or test, `dropped` of them taken out."""

    on_leak: str
    leaking: int
    dropped: int
    findings: tuple[Finding, ...]

    @property
    def lines(self) -> list[str]:
        """For the head of a sweep: one or two lines."""
        done = "taken out" if self.dropped else "data.on_leak=drop takes them out"
        leak = f"{counted(self.leaking, 'train pair')} also in dev or test"
        known = [f"{leak} ({done})" if self.leaking else "no train pair is also in dev or test"]
        near = sum(f.count for f in self.findings if f.kind == "near" and f.crosses_train)
        known += [f"{near:,} nearly"] if near else []
        lines = [f"guard  {', '.join(known)}"]
        shifts = [f.sentence for f in self.findings if f.kind == "labels" and f.level == "warn"]
        shifts += [f.sentence for f in self.findings if f.kind == "left_out"]
        return lines + [f"       {sentence}" for sentence in shifts]
