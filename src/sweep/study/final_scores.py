"""`test.json`: what the exported adapter scored on pairs that were set aside."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from sweep.core.files import write_text
from sweep.core.metric import PEARSON, Metric
from sweep.data.findings import Split
from sweep.stats.interval import Interval
from sweep.study.files import StudyFiles
from sweep.study.reading import read_json

#: How each split is called in sentences.
SPLIT_NAMES: dict[Split, str] = {"test": "test", "holdout": "held out"}


@dataclass(frozen=True)
class SplitScore:
    """One split. `adapter` is the exported one, `config` the mean over the runs of its config.

    `baseline` is the mean over the runs of the study's base settings, where they were trained, and
    `difference` is `config` minus `baseline`, paired on the items, with the luck of the seeds;
    None, too, where the exported config is the base settings.
    """

    split: Split
    digest: str
    rows: int
    adapter: Interval
    beside: float
    config: Interval
    num_runs: int
    baseline: Interval | None
    difference: Interval | None

    def line(self, metric: str) -> str:
        line = (
            f"{SPLIT_NAMES[self.split]:8} {metric} {self.adapter.as_score} on {self.rows:,} pairs"
        )
        if self.num_runs > 1:
            line += f"; mean of {self.num_runs} seeds {self.config.value:.4f}"
        if self.baseline is not None and self.difference is not None:
            line += f"; base settings {self.baseline.value:.4f}, "
            line += f"difference {self.difference.as_difference}"
        return line


@dataclass(frozen=True)
class ModelScore:
    """A config on one split; of several seeds the mean: one adapter beside a mean would compare
    unlike things."""

    model: str
    config_id: str | None
    score: Interval
    pairs: int


@dataclass(frozen=True)
class FinalScores:
    """`looks` counts the adapters that were exported and scored so.

    `config_runs` and `baseline_runs` are the ids of the runs that the means are of; older programs
    did not name them, so theirs count as others.
    """

    config_id: str
    run_id: str
    baseline_id: str | None
    looks: int
    splits: tuple[SplitScore, ...]
    config_runs: tuple[str, ...] = ()
    baseline_runs: tuple[str, ...] = ()

    def lines(self, metric: Metric) -> list[str]:
        """A sentence for each split, and one where choosing among adapters would flatter."""
        lines = [score.line(metric.word) for score in self.splits]
        if self.looks > 1:
            lines.append(
                f"         {self.looks} adapters of this study were scored on these pairs so far: "
                "to choose among them by that would flatter"
            )
        return lines

    @property
    def models(self) -> list[ModelScore]:
        """The exported config and the baseline, on each split."""
        return [
            ModelScore(f"{name}_{score.split}", config_id, interval, score.rows)
            for score in self.splits
            for name, config_id, interval in (
                ("exported", self.config_id, score.config),
                ("baseline", self.baseline_id, score.baseline),
            )
            if interval is not None
        ]

    def to_json(self, metric: Metric) -> dict[str, Any]:
        """With a row for each model and the sentences, for people and for older programs."""
        rows = {
            model.model: {
                "config_id": model.config_id,
                metric.name: model.score.value,
                "ci_low": model.score.ci_low,
                "ci_high": model.score.ci_high,
                "pairs": model.pairs,
            }
            for model in self.models
        }
        content = dataclasses.asdict(self)
        content["splits"] = tuple(metric.in_files(split) for split in content["splits"])
        return {**content, **rows, "sentences": self.lines(metric)}


def write_final_scores(files: StudyFiles, scores: FinalScores, metric: Metric = PEARSON) -> None:
    text = json.dumps(scores.to_json(metric), indent=2, ensure_ascii=False)
    write_text(files.test_scores, text)


def read_final_scores(files: StudyFiles, metric: Metric = PEARSON) -> FinalScores | None:
    """What an earlier start has found; a file that can't be read counts as none."""

    def renamed(content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "splits": [metric.from_files(split) for split in content["splits"]]}

    otherwise = "the pairs are scored again"
    return read_json(files.test_scores, FinalScores, otherwise=otherwise, renamed=renamed)
