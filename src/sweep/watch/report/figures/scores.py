"""Scores of configs: ranked with their intervals, and by the levels of one setting."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sweep.core.words import name_of
from sweep.stats.by_level import FactorScores, Match
from sweep.stats.levels import Factor, Range
from sweep.study.rows import ConfigRow
from sweep.watch.report.figures.parts import (
    MANY,
    SCORE,
    SYMBOLS,
    Figure,
    by_level,
    cut,
    factor_name,
    intervals,
    layout,
    line,
    points,
    scores_of,
    series,
    whiskers,
)

#: Rows that a reader can still tell apart.
MAX_DOTS = 60
_GOLDEN = 0.618
_SCORE_AXIS: Figure = {"title": {"text": SCORE}, "nticks": 6}


def dot_plot(configs: Sequence[ConfigRow], factor: Factor | None) -> Figure:
    """Score of each config with its interval, best on top; filled where tied with the best."""
    top = configs[:MAX_DOTS]
    labels = [f"{cut(row.words)}  #{row.rank}" for row in top]
    traces = []
    for index, level, places in by_level(top, factor):
        rows = [top[place] for place in places]
        symbol = SYMBOLS[index % len(SYMBOLS)]
        open_or_not = ["-open" if row.tied_with_best is False else "" for row in rows]
        trace = points(rows, scores_of(rows), places, name=level, colour=series(index))
        trace["marker"] |= {"symbol": [symbol + o for o in open_or_not], "size": 10}
        traces.append(trace | {"error_x": whiskers(intervals(rows), series(index))})
    y = {
        "tickvals": list(range(len(top))),
        "ticktext": [escape(label) for label in labels],
        "range": [len(top) - 0.4, -0.6],
        "zeroline": False,
    }
    x = {"title": {"text": f"{SCORE}, mean over seeds"}}
    legend = factor_name(factor) if factor else None
    narrow = {"yaxis.ticktext": [f"#{row.rank}" for row in top]}
    shape = layout(height=96 + 30 * len(top), x=x, y=y, legend=legend)
    return {"data": traces, "layout": shape, "narrow": narrow}


def strip_plot(configs: Sequence[ConfigRow], scores: FactorScores) -> Figure:
    """Scores by value of one factor; a line joins configs that differ in nothing else."""
    factor = scores.factor
    if factor.range is not None:
        return _range_plot(configs, factor.range)
    shift = _shifts(len(configs), scores.matches)
    traces: list[Figure] = [_joined(configs, scores.matches, shift)]
    for index, level, places in by_level(configs, factor):
        rows = [configs[place] for place in places]
        xs = [index + shift[place] for place in places]
        trace = points(rows, xs, scores_of(rows), name=level, colour=series(index))
        size = 8 if len(configs) <= MANY else 4
        trace["marker"] |= {"size": size, "symbol": SYMBOLS[index % len(SYMBOLS)]}
        average = scores.levels[index].mean
        middle = line([index - 0.3, index + 0.3], [average] * 2, width=2.5)
        words = f"{escape(level)}: {average:.4f} on average"
        traces += [trace, middle | {"hovertext": words}]
    ticks = {
        "title": {"text": escape(factor_name(factor))},
        "tickvals": list(range(len(factor.levels))),
        "ticktext": [escape(cut(level, 22)) for level in factor.levels],
        "range": [-0.6, len(factor.levels) - 0.4],
        "showgrid": False,
        "zeroline": False,
    }
    return {"data": traces, "layout": layout(height=290, x=ticks, y=_SCORE_AXIS)}


def _joined(configs: Sequence[ConfigRow], matches: Sequence[Match], shift: list[float]) -> Figure:
    """A thin line through the configs of each match."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for match in matches:
        ordered = [(level, place) for level in sorted(match) for place in match[level]]
        xs += [*(level + shift[place] for level, place in ordered), None]
        ys += [*(configs[place].mean for _, place in ordered), None]
    return line(xs, ys, colour="@faint", width=1)


def _shifts(number: int, matches: Sequence[Match]) -> list[float]:
    """Sideways shift by config, the same for joined configs: their lines run side by side."""
    joined = [[place for level in match.values() for place in level] for match in matches]
    known = {place for group in joined for place in group}
    alone = [[place] for place in range(number) if place not in known]
    # The golden ratio spreads any number of points evenly, without a random draw.
    shifts = [0.0] * number
    for order, group in enumerate([*joined, *alone]):
        for place in group:
            shifts[place] = 0.3 * ((order * _GOLDEN) % 1 - 0.5)
    return shifts


def _range_plot(configs: Sequence[ConfigRow], found: Range) -> Figure:
    name = name_of(found.key)
    trace = points(configs, found.numbers, scores_of(configs), name=name, colour=series(0))
    trace["marker"] |= {"size": 8 if len(configs) <= MANY else 4}
    x: Figure = {"type": "log", "dtick": "D2", "tickformat": "~g"} if found.is_log else {}
    x |= {"title": {"text": escape(name)}}
    return {"data": [trace], "layout": layout(height=290, x=x, y=_SCORE_AXIS)}
