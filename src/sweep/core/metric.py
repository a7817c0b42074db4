"""What a study judges predictions by, under its names in files, tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A function of labels and predictions; the higher, the better.

    `name` is its key on the command line and in files, `word` what people read. No score leaves
    `low` to `high`. `beside` is the name of the metric that is told beside it.
    """

    name: str
    word: str
    beside: str
    low: float = -1.0
    high: float = 1.0
    #: `module:function` of a metric that is the user's own.
    source: str | None = None

    @property
    def objective(self) -> str:
        """As `search.objectives` names it."""
        return f"{self.name}:max"

    @property
    def of_classes(self) -> bool:
        """Whether predictions are numbers of classes, not scores."""
        return self.beside in OF_CLASSES

    @property
    def is_bounded(self) -> bool:
        return math.isfinite(self.high - self.low)

    def in_files(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a run or a baseline, its scores under the names that files have for them."""
        return {self._names.get(name, name): value for name, value in fields.items()}

    def from_files(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of `in_files`."""
        own = {name: field for field, name in self._names.items()}
        return {own.get(name, name): value for name, value in fields.items()}

    def column(self, field: str) -> str:
        """The column of a table that holds a field."""
        return self._names.get(field, field)

    @property
    def _names(self) -> dict[str, str]:
        return {"score": self.name, "score_last": f"{self.name}_last", "beside": self.beside}


PEARSON = Metric("pearson", "Pearson", beside="spearman")
SPEARMAN = Metric("spearman", "Spearman", beside="pearson")
ACCURACY = Metric("accuracy", "accuracy", beside="macro_f1", low=0.0)
MACRO_F1 = Metric("macro_f1", "macro F1", beside="accuracy", low=0.0)
MCC = Metric("mcc", "MCC", beside="accuracy")
#: Of scores, and of classes; the first is the default.
OF_SCORES = {metric.name: metric for metric in (PEARSON, SPEARMAN)}
OF_CLASSES = {metric.name: metric for metric in (ACCURACY, MACRO_F1, MCC)}
KNOWN = {**OF_SCORES, **OF_CLASSES}


def metric_named(text: str, *, of_classes: bool = False) -> Metric:
    """A metric of ours by its name, or the user's own as `module:function`.

    Raises:
        KeyError: it is neither.
    """
    if text in KNOWN:
        return KNOWN[text]
    module, _, function = text.partition(":")
    if not (function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise KeyError(text)
    beside = ACCURACY if of_classes else PEARSON
    return Metric(function, function, beside.name, -math.inf, math.inf, source=text)
