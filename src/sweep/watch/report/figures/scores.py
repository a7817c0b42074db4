"""Scores of configs: ranked with their intervals, and by the levels of one setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from sweep.watch.report.factors import Factor, Match
from sweep.watch.report.figures.parts import (
    MANY,
    SYMBOLS,
    Figure,
    by_level,
    flags,
    layout,
    line,
    points,
    series,
    whiskers,
)
from sweep.watch.report.words import cut

#: Rows that a reader can still tell apart.
MAX_DOTS = 60
_GOLDEN = 0.618
_SCORE_AXIS: Figure = {"title": {"text": "dev Pearson"}, "nticks": 6}


def dot_plot(configs: pd.DataFrame, factor: Factor | None) -> Figure:
    """Score of each config with its interval, best on top; filled where tied with the best."""
    top = configs.head(MAX_DOTS).reset_index(drop=True)
    ranked = zip(top["rank"], top["label"], strict=True)
    labels = [f"{cut(label)}  #{rank}" for rank, label in ranked]
    traces = []
    for index, level, rows in by_level(top, factor):
        symbol = SYMBOLS[index % len(SYMBOLS)]
        open_or_not = ["-open" if tied is False else "" for tied in flags(rows)]
        trace = points(rows, rows["mean"], rows.index, name=level, colour=series(index))
        trace["marker"] |= {"symbol": [symbol + o for o in open_or_not], "size": 10}
        traces.append(trace | {"error_x": whiskers(rows, "mean", series(index))})
    y = {
        "tickvals": list(range(len(top))),
        "ticktext": [escape(label) for label in labels],
        "range": [len(top) - 0.4, -0.6],
        "zeroline": False,
    }
    x = {"title": {"text": "dev Pearson, mean over seeds"}}
    legend = factor.name if factor else None
    narrow = {"yaxis.ticktext": [f"#{rank}" for rank in top["rank"]]}
    shape = layout(height=96 + 30 * len(top), x=x, y=y, legend=legend)
    return {"data": traces, "layout": shape, "narrow": narrow}


def strip_plot(
    configs: pd.DataFrame,
    factor: Factor,
    matches: Sequence[Match],
    averages: Mapping[str, float],
) -> Figure:
    """Scores by value of one factor; a line joins configs that differ in nothing else."""
    if factor.numbers is not None:
        return _range_plot(configs, factor, factor.numbers)
    place = {level: float(index) for index, level in enumerate(factor.levels)}
    shift = _shifts(configs, matches)
    lines_x: list[float | None] = []
    lines_y: list[float | None] = []
    for match in matches:
        ordered = [(level, *one) for level in factor.levels for one in match.get(level, ())]
        lines_x += [*(place[level] + shift[config_id] for level, config_id, _ in ordered), None]
        lines_y += [*(score for *_, score in ordered), None]
    traces: list[Figure] = [line(lines_x, lines_y, colour="@faint", width=1)]
    for index, level, rows in by_level(configs, factor):
        xs = [place[level] + shift[config_id] for config_id in rows["config_id"]]
        trace = points(rows, xs, rows["mean"], name=level, colour=series(index))
        size = 8 if len(configs) <= MANY else 4
        trace["marker"] |= {"size": size, "symbol": SYMBOLS[index % len(SYMBOLS)]}
        ends = [place[level] - 0.3, place[level] + 0.3]
        middle = line(ends, [averages[level]] * 2, width=2.5)
        words = f"{escape(level)}: {averages[level]:.4f} on average"
        traces += [trace, middle | {"hovertext": words}]
    ticks = {
        "title": {"text": escape(factor.name)},
        "tickvals": list(place.values()),
        "ticktext": [escape(cut(level, 22)) for level in place],
        "range": [-0.6, len(place) - 0.4],
        "showgrid": False,
        "zeroline": False,
    }
    return {"data": traces, "layout": layout(height=290, x=ticks, y=_SCORE_AXIS)}


def _shifts(configs: pd.DataFrame, matches: Sequence[Match]) -> dict[str, float]:
    """Sideways shift by config id, the same for joined configs: their lines run side by side."""
    joined = [
        [config_id for level in match.values() for config_id, _ in level] for match in matches
    ]
    known = {config_id for group in joined for config_id in group}
    alone = [[config_id] for config_id in configs["config_id"] if config_id not in known]
    # The golden ratio spreads any number of points evenly, without a random draw.
    return {
        config_id: 0.3 * ((number * _GOLDEN) % 1 - 0.5)
        for number, group in enumerate([*joined, *alone])
        for config_id in group
    }


def _range_plot(configs: pd.DataFrame, factor: Factor, numbers: Mapping[str, float]) -> Figure:
    xs = [numbers[config_id] for config_id in configs["config_id"]]
    trace = points(configs, xs, configs["mean"], name=factor.name, colour=series(0))
    trace["marker"] |= {"size": 8 if len(configs) <= MANY else 4}
    x: Figure = {"type": "log", "dtick": "D2", "tickformat": "~g"} if factor.log else {}
    x |= {"title": {"text": escape(factor.name)}}
    return {"data": [trace], "layout": layout(height=290, x=x, y=_SCORE_AXIS)}
