"""What the data and the adapters themselves say about the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweep.watch.report.figures.ranks import rank_map
from sweep.watch.report.sections.parts import Plot, Section, Table
from sweep.watch.report.study import Study
from sweep.watch.report.words import short

_LEVELS = ("error", "warn", "info")


@dataclass(frozen=True)
class Finding:
    """What was found in the data: how grave, in words, and rows that show it."""

    level: str
    sentence: str
    examples: tuple[str, ...]


def rank_use(study: Study) -> Section | None:
    """Effective rank and norm of the kept adapters' updates, by rank that they had."""
    use = study.rank_use
    if use.empty:
        return None
    by_rank = list(use.groupby("rank"))
    sentences = tuple(
        f"r={rank} used {part['effective_rank'].mean():.1f} on average "
        f"({part['effective_rank'].min():.1f} to {part['effective_rank'].max():.1f} by layer and "
        f"module, {part['run_id'].nunique()} run{'s' * (part['run_id'].nunique() != 1)})."
        for rank, part in by_rank
        if part["effective_rank"].notna().any()
    )
    plots = tuple(
        Plot(title, {f"r {rank}": rank_map(part, column, unit) for rank, part in by_rank})
        for column, title, unit in (
            ("effective_rank", "Effective rank by layer and module", "rank"),
            ("norm", "Norm of the update by layer and module", "norm"),
        )
    )
    note = (
        "Means over the kept adapters. An update that uses far less than its rank can be smaller."
    )
    return Section("ranks", "How much rank was used", sentences=sentences, note=note, plots=plots)


def guard(study: Study) -> Section | None:
    findings = (study.guard or {}).get("findings")
    if findings is None:
        return None
    read = [
        Finding(f.get("level", "info"), f.get("sentence", ""), tuple(map(_example, f["examples"])))
        for f in ({"examples": []} | finding for finding in findings)
    ]
    ordered = sorted(read, key=lambda f: _LEVELS.index(f.level) if f.level in _LEVELS else 0)
    sentences = () if findings else ("Nothing was found.",)
    return Section("guard", "Data guard", sentences=sentences, facts={"findings": ordered})


def test(study: Study) -> Section | None:
    """Scores on pairs that the search never saw: a row per model in `test.json`."""
    content = study.test
    if not content:
        return None
    rows = {name: value for name, value in content.items() if isinstance(value, Mapping)}
    # Made for the terminal, where columns are aligned by spaces.
    said = tuple(" ".join(sentence.split()) for sentence in content.get("sentences", ()))
    looks = content.get("looks") or 1
    note = f"Scored for {looks} adapters: every look makes it say less." if looks > 1 else ""
    table = _table(rows, study.labels) if rows else None
    return Section("test", "Test scores", sentences=said, note=note, table=table)


def _example(example: object) -> str:
    """One line: the parts of a pair, or of a row, side by side."""
    parts = list(example.values()) if isinstance(example, Mapping) else example
    return " / ".join(map(str, parts)) if isinstance(parts, list) else str(parts)


def _table(rows: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str]) -> Table:
    columns = list(
        dict.fromkeys(
            key
            for row in rows.values()
            for key, value in row.items()
            if not isinstance(value, Mapping | list)
        )
    )
    numeric = [
        all(isinstance(row.get(column), int | float | None) for row in rows.values())
        for column in columns
    ]
    cells = tuple(
        (
            name.replace("_", " "),
            *(labels.get(str(row.get(c)), _text(row.get(c))) for c in columns),
        )
        for name, row in rows.items()
    )
    heads = (("model", False), *((short(c), n) for c, n in zip(columns, numeric, strict=True)))
    return Table(heads, cells)


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
