"""The leaderboard as a table and as a plot."""

from __future__ import annotations

from sweep.study.rows import by_standing
from sweep.study.study import Study
from sweep.watch.report.figures.parts import factor_name
from sweep.watch.report.figures.scores import MAX_DOTS, dot_plot
from sweep.watch.report.sections.parts import Plot, Section


def leaderboard(study: Study) -> Section | None:
    rows = study.leaderboard
    if not rows:
        return None
    low = min((row.ci_low for row in rows if row.ci_low is not None), default=0.0)
    high = max((row.ci_high for row in rows if row.ci_high is not None), default=0.0)
    verdict = study.verdict
    facts = {
        "rows": rows,
        "groups": by_standing(rows),
        "searched": study.keys,
        "has_seeds": any(row.n_seeds > 1 for row in rows),
        "low": low,
        "span": high - low or 1.0,
        "recommended": verdict.recommended if verdict else None,
        "baseline": verdict.baseline if verdict else None,
    }
    return Section("leaderboard", "Leaderboard", facts=facts)


def scores(study: Study) -> Section | None:
    rows = study.leaderboard
    if not rows:
        return None
    coloured = {factor_name(factor): dot_plot(rows, factor) for factor in study.factors}
    plot = Plot("Colour by", coloured or {"configs": dot_plot(rows, None)})
    shown = f" The best {MAX_DOTS} of {len(rows):,} configs." if len(rows) > MAX_DOTS else ""
    note = (
        f"Filled: tied with the best. Bar: 95 % interval.{shown} The setting that separates the "
        "scores most comes first."
    )
    return Section("scores", "Scores and their intervals", note=note, plots=(plot,))
