"""`baselines.json`: what the frozen base scores without LoRA, and what LoRA adds to that."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from sweep.core.files import write_text
from sweep.stats.interval import Interval
from sweep.study.files import StudyFiles
from sweep.study.reading import read_json

#: How each is called in sentences.
_NAMES = {"cosine": "cosine without training", "head": "a linear head alone"}


@dataclass(frozen=True)
class BaselineScore:
    """One baseline: on dev, and on test where there is one.

    `how` says what was computed, `params` are trained numbers. `lead` is the recommended config
    minus this one on dev, paired on the pairs; None where that is not known. `values` are the dev
    predictions, `[N]`.
    """

    kind: str
    how: str
    pearson: Interval
    spearman: float
    params: int
    seconds: float
    test: Interval | None = None
    lead: Interval | None = None
    values: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return _NAMES.get(self.kind, self.kind)


@dataclass(frozen=True)
class Baselines:
    """All that were scored, on pairs and weights of this `digest`.

    `config_id` is the recommended config that they stand beside, `config` its words, `mean` its
    dev Pearson.
    """

    digest: str
    scores: tuple[BaselineScore, ...]
    config_id: str | None = None
    config: str = ""
    mean: float | None = None

    @property
    def warning(self) -> str | None:
        """Where LoRA is not ahead of what takes no LoRA for sure: the first thing to know."""
        behind = [s for s in self.scores if s.lead is not None and not s.lead.ci_low > 0]
        if not behind:
            return None
        best = max(behind, key=lambda score: score.pearson.value)
        assert best.lead is not None
        how = "behind" if best.lead.value < 0 else "not ahead for sure of"
        return (
            f"LoRA ({self.config}) is {how} {best.name}: {self.mean:.4f} against "
            f"{best.pearson.as_score}, {best.lead.as_difference}."
        )

    @property
    def line(self) -> str | None:
        """All scores side by side."""
        if self.mean is None or not self.scores:
            return None
        parts = [f"LoRA {self.mean:.4f}"]
        for score in self.scores:
            lead = f" (LoRA {score.lead.as_difference})" if score.lead else ""
            parts.append(f"{score.name} {score.pearson.value:.4f}{lead}")
        return f"On dev: {'; '.join(parts)}."

    @property
    def sentences(self) -> tuple[str, ...]:
        """The warning, where there is one, and the scores."""
        return tuple(text for text in (self.warning, self.line) if text)


def write_baselines(files: StudyFiles, found: Baselines) -> None:
    content = {**dataclasses.asdict(found), "sentences": found.sentences}
    write_text(files.baselines, json.dumps(content, ensure_ascii=False, indent=1))


def read_baselines(files: StudyFiles) -> Baselines | None:
    """What an earlier start has found; a file that can't be read counts as none."""
    return read_json(files.baselines, Baselines, otherwise="the baselines are scored again")
