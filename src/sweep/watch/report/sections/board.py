"""The leaderboard as a table and as a plot."""

from __future__ import annotations

from sweep.watch.report.figures.scores import MAX_DOTS, dot_plot
from sweep.watch.report.sections.parts import Plot, Section
from sweep.watch.report.study import Study


def leaderboard(study: Study) -> Section | None:
    configs = study.configs
    if configs.empty:
        return None
    low, high = float(configs["ci_low"].min()), float(configs["ci_high"].max())
    marks = study.verdict or {}
    facts = {
        "low": low,
        "span": high - low or 1.0,
        "recommended": marks.get("recommended"),
        "baseline": marks.get("baseline"),
    }
    return Section("leaderboard", "Leaderboard", facts=facts)


def scores(study: Study) -> Section | None:
    if study.configs.empty:
        return None
    coloured = {f.name: dot_plot(study.configs, f) for f in study.factors}
    plot = Plot("Colour by", coloured or {"configs": dot_plot(study.configs, None)})
    shown = ""
    if len(study.configs) > MAX_DOTS:
        shown = f" The best {MAX_DOTS} of {len(study.configs):,} configs."
    note = (
        f"Filled: tied with the best. Bar: 95 % interval.{shown} The setting that separates the "
        "scores most comes first."
    )
    return Section("scores", "Scores and their intervals", note=note, plots=(plot,))
