"""`baselines.json`: what the base scores without LoRA, and what LoRA adds to that."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sweep.core.files import write_text
from sweep.core.metric import PEARSON, Metric
from sweep.core.words import compact, duration
from sweep.stats.interval import Interval
from sweep.study.files import StudyFiles
from sweep.study.reading import read_json

#: How each is called in sentences, in the order in which they are told.
_NAMES = {
    "full": "full fine-tuning",
    "head": "linear head",
    "cosine": "cosine without training",
    "majority": "majority class",
}
#: Under which id each stands in the tables; full fine-tuning has that of its config.
_IDS = {"head": "linear_head"}
#: Those that leave the base as it is: LoRA has to be ahead of them to be worth anything.
FROZEN = ("cosine", "head", "majority")


@dataclass(frozen=True)
class Cost:
    """What is trained, and what one run takes: seconds, and MB of its worker at the peak."""

    params: int | None = None
    seconds: float | None = None
    memory_mb: float | None = None

    @property
    def words(self) -> str:
        """`73.7k parameters, 31 s, 620 MB`."""
        parts = [] if self.params is None else [f"{compact(self.params)} parameters"]
        parts += [] if self.seconds is None else [duration(self.seconds)]
        parts += [] if self.memory_mb is None else [f"{self.memory_mb:,.0f} MB"]
        return ", ".join(parts)


@dataclass(frozen=True)
class BaselineScore:
    """One baseline: on dev, and on test where there is one.

    `how` says what was computed; `params` are trained numbers, `seconds` those of one run. `lead`
    is the recommended config minus this one on dev, paired on the pairs and, where both have them,
    on the seeds; None where that is not known. `values` are the dev predictions of one without
    seeds, `[N]`; `runs` the scores of one that has `seeds`, `learning_rate` the rate of those.
    """

    kind: str
    how: str
    score: Interval
    beside: float
    params: int
    seconds: float
    test: Interval | None = None
    lead: Interval | None = None
    values: tuple[float, ...] = ()
    memory_mb: float | None = None
    config_id: str | None = None
    seeds: tuple[int, ...] = ()
    runs: tuple[float, ...] = ()
    learning_rate: float | None = None

    @property
    def name(self) -> str:
        return _NAMES.get(self.kind, self.kind)

    @property
    def id(self) -> str:
        """As the tables call it."""
        return self.config_id or _IDS.get(self.kind, self.kind)

    @property
    def cost(self) -> Cost:
        return Cost(self.params, self.seconds, self.memory_mb)

    @property
    def in_words(self) -> str:
        """Its score, and how LoRA stands to it."""
        score = f"{self.name} {self.score.value:.4f}"
        if self.lead is None:
            return score
        unclear = "" if self.lead.is_clear else "not distinguishable: "
        return f"{score} ({unclear}LoRA {self.lead.as_difference})"


@dataclass(frozen=True)
class LeftOut:
    """A baseline without a score, and why, in a few words."""

    kind: str
    reason: str

    @property
    def in_words(self) -> str:
        return f"{_NAMES.get(self.kind, self.kind).capitalize()} has no score: {self.reason}."


@dataclass(frozen=True)
class Baselines:
    """All that were scored, on pairs and weights of this `digest`.

    `config_id` is the recommended config that they stand beside, `config` its words, `mean` its
    score on dev, `cost` what one of its runs takes.
    """

    digest: str
    scores: tuple[BaselineScore, ...]
    config_id: str | None = None
    config: str = ""
    mean: float | None = None
    cost: Cost = Cost()
    left_out: tuple[LeftOut, ...] = ()

    def of(self, kinds: Sequence[str]) -> Baselines:
        """Those of these kinds alone."""
        scores = tuple(score for score in self.scores if score.kind in kinds)
        left_out = tuple(one for one in self.left_out if one.kind in kinds)
        return dataclasses.replace(self, scores=scores, left_out=left_out)

    @property
    def warning(self) -> str | None:
        """Where LoRA is not ahead of the frozen base for sure: the first thing to know."""
        behind = [
            score
            for score in self.scores
            if score.kind in FROZEN and score.lead is not None and not score.lead.ci_low > 0
        ]
        if not behind:
            return None
        best = max(behind, key=lambda score: score.score.value)
        assert best.lead is not None
        how = "behind" if best.lead.value < 0 else "not ahead for sure of"
        return (
            f"LoRA ({self.config}) is {how} {best.name}: {self.mean:.4f} against "
            f"{best.score.as_score}, {best.lead.as_difference}."
        )

    @property
    def line(self) -> str | None:
        """All scores side by side."""
        if self.mean is None or not self.scores:
            return None
        parts = [f"LoRA {self.mean:.4f}", *(score.in_words for score in self.told)]
        return f"On dev: {' · '.join(parts)}."

    @property
    def cost_line(self) -> str | None:
        """What each takes, a run of those that are trained."""
        costs = [("LoRA", self.cost), *((score.name, score.cost) for score in self.told)]
        parts = [f"{name} {cost.words}" for name, cost in costs if cost.words]
        return f"A run trains and takes: {' · '.join(parts)}." if len(parts) > 1 else None

    @property
    def told(self) -> list[BaselineScore]:
        """The scores in the order in which people meet them."""
        order = list(_NAMES)
        return sorted(
            self.scores, key=lambda s: order.index(s.kind) if s.kind in order else len(order)
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The warning, where there is one, the scores, what they take, what has none."""
        told = (self.warning, self.line, self.cost_line, *(one.in_words for one in self.left_out))
        return tuple(text for text in told if text)


def write_baselines(files: StudyFiles, found: Baselines, metric: Metric = PEARSON) -> None:
    content = {**dataclasses.asdict(found), "sentences": found.sentences}
    content["scores"] = [metric.in_files(score) for score in content["scores"]]
    write_text(files.baselines, json.dumps(content, ensure_ascii=False, indent=1))


def read_baselines(files: StudyFiles, metric: Metric = PEARSON) -> Baselines | None:
    """What an earlier start has found; a file that can't be read counts as none."""

    def renamed(content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "scores": [metric.from_files(score) for score in content["scores"]]}

    otherwise = "the baselines are scored again"
    return read_json(files.baselines, Baselines, otherwise=otherwise, renamed=renamed)
