"""What the guard finds in the pairs: values that a study keeps and others show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sweep.core.words import counted

#: The parts of a data set.
Split = Literal["train", "dev", "test", "holdout"]

#: Kinds that the first sentence sums up.
_SUMMED_UP = ("exact", "normalised", "swapped", "near")
#: Kinds that are told whether or not they give cause for doubt.
_ALWAYS_TOLD = ("cut", "label_range", "separator", "segments", "padding", "left_out")


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

    @property
    def is_told(self) -> bool:
        """Whether it has a sentence of its own wherever the pairs are spoken of."""
        if self.kind in _SUMMED_UP:
            return False
        return self.level != "info" or self.kind in _ALWAYS_TOLD


@dataclass(frozen=True)
class Guard:
    """All findings; `leaking` train rows are also in dev or test, `dropped` of them taken out."""

    on_leak: str
    leaking: int
    dropped: int
    findings: tuple[Finding, ...]
    #: What a row is.
    unit: str = "pair"

    @property
    def sentences(self) -> list[str]:
        """What head, report and model card say of the pairs."""
        done = "taken out" if self.dropped else "data.on_leak=drop takes them out"
        leak = f"{counted(self.leaking, f'train {self.unit}')} also in dev or test"
        none = f"no train {self.unit} is also in dev or test"
        known = [f"{leak} ({done})" if self.leaking else none]
        near = sum(f.count for f in self.findings if f.kind == "near" and f.crosses_train)
        known += [f"{near:,} nearly"] if near else []
        return [", ".join(known), *(f.sentence for f in self.findings if f.is_told)]

    @property
    def lines(self) -> list[str]:
        """The same for the head of a sweep."""
        first, *others = self.sentences
        return [f"guard  {first}", *(f"       {sentence}" for sentence in others)]

    def with_findings(self, more: Sequence[Finding]) -> Guard:
        """A copy with these as well."""
        return replace(self, findings=(*self.findings, *more))
