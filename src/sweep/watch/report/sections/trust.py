"""What the data and the adapters themselves say about the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sweep.core.words import counted, score_range
from sweep.data.findings import Finding
from sweep.study.final_scores import ModelScore
from sweep.study.rank_use import ModuleUse, use_by_rank
from sweep.study.study import Study
from sweep.watch.report.figures.parts import Figure
from sweep.watch.report.figures.ranks import rank_map
from sweep.watch.report.sections.parts import Plot, Section, Table

#: The gravest first.
_LEVELS = ("error", "warn", "info")


@dataclass(frozen=True)
class Shown:
    """A finding with its examples in one line each."""

    finding: Finding
    examples: tuple[str, ...]


def rank_use(study: Study) -> Section | None:
    """Effective rank and norm of the kept adapters' updates, by rank that they had."""
    rows = study.rank_use
    if not rows:
        return None
    sentences = tuple(
        f"r={use.rank} used {use.mean:.1f} on average ({use.least:.1f} to {use.most:.1f} by layer "
        f"and module, {counted(use.num_runs, 'run')})."
        for use in use_by_rank(rows)
    )
    plots = (
        Plot("Effective rank by layer and module", _maps(rows, "effective_rank", "rank")),
        Plot("Norm of the update by layer and module", _maps(rows, "norm", "norm")),
    )
    note = (
        "Means over the kept adapters. An update that uses far less than its rank can be smaller."
    )
    return Section("ranks", "How much rank was used", sentences=sentences, note=note, plots=plots)


def guard(study: Study) -> Section | None:
    if study.guard is None:
        return None
    ordered = sorted(study.guard.findings, key=lambda finding: _LEVELS.index(finding.level))
    shown = [Shown(finding, tuple(map(_example, finding.examples))) for finding in ordered]
    # As in the head of the sweep; what lies behind it follows.
    sentences = (*study.guard.sentences, *(() if shown else ("Nothing was found.",)))
    return Section("guard", "Data guard", sentences=sentences, facts={"findings": shown})


def test(study: Study) -> Section | None:
    """Scores on pairs that the search never saw."""
    found = study.test_scores
    if found is None:
        return None
    # Made for the terminal, where columns are aligned by spaces.
    said = tuple(" ".join(line.split()) for line in found.lines(study.metric))
    note = (
        f"Scored for {found.looks} adapters: every look makes it say less."
        if found.looks > 1
        else ""
    )
    words = {row.config_id: row.words for row in study.runs}
    table = _table(found.models, words, study.metric.word)
    return Section("test", "Test scores", sentences=said, note=note, table=table)


def _maps(
    rows: Sequence[ModuleUse], measure: Literal["effective_rank", "norm"], unit: str
) -> dict[str, Figure]:
    """A map for each rank."""
    ranks = sorted({row.rank for row in rows})
    return {
        f"r={rank}": rank_map([row for row in rows if row.rank == rank], measure, unit)
        for rank in ranks
    }


def _example(example: object) -> str:
    """One line: the parts of a pair, or of a row, side by side."""
    parts = list(example.values()) if isinstance(example, Mapping) else example
    return " / ".join(map(str, parts)) if isinstance(parts, list | tuple) else str(parts)


def _table(models: Sequence[ModelScore], words: Mapping[str, str], metric: str) -> Table:
    heads = (
        ("model", False),
        ("config", False),
        (metric, True),
        ("95 % interval", True),
        ("pairs", True),
    )
    rows = tuple(
        (
            model.model.replace("_", " "),
            words.get(model.config_id or "", model.config_id or "–"),
            f"{model.score.value:.4f}",
            score_range(model.score.ci_low, model.score.ci_high),
            f"{model.pairs:,}",
        )
        for model in models
    )
    return Table(heads, rows)
