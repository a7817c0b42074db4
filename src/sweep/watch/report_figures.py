"""Figures of the report, as plain plotly dictionaries.

Colours are tokens: `@ink` stands for the page's CSS variable `--ink`, so that a figure follows
the page from light to dark. Text from the user is escaped, since plotly reads a little HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

Figure = dict[str, Any]
#: Level of a factor to (id, mean score) of configs that are alike but for this factor.
Match = Mapping[str, tuple[str, float]]

#: Rows of a dot plot and lines of learning curves that a reader can still tell apart.
MAX_DOTS, MAX_CURVES = 60, 200
#: More configs or runs than this are drawn smaller, thinner, without error bars.
_MANY = 100
_LONGEST_LABEL = 58
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")
_GOLDEN = 0.618


@dataclass(frozen=True)
class Factor:
    """A searched dimension: one key, or keys that were varied together.

    `values` are exact, by config id. `levels` are what a figure colours by: the values, or
    thirds of a range, whose `numbers` are then given.
    """

    name: str
    levels: tuple[str, ...]
    level_of: Mapping[str, str]
    values: Mapping[str, str]
    numbers: Mapping[str, float] | None = None
    log: bool = False


def dot_plot(configs: pd.DataFrame, factor: Factor | None) -> Figure:
    """Score of each config with its interval, best on top; filled where tied with the best."""
    top = configs.head(MAX_DOTS).reset_index(drop=True)
    ranked = zip(top["rank"], top["label"], strict=True)
    labels = [f"{_cut(label)}  #{rank}" for rank, label in ranked]
    traces = []
    for index, level, rows in _by_level(top, factor):
        symbol = _SYMBOLS[index % len(_SYMBOLS)]
        open_or_not = ["-open" if tied is False else "" for tied in _flags(rows)]
        trace = _points(rows, rows["mean"], rows.index, name=level, colour=_series(index))
        trace["marker"] |= {"symbol": [symbol + o for o in open_or_not], "size": 10}
        traces.append(trace | {"error_x": _whiskers(rows, _series(index))})
    layout = _layout(
        height=96 + 30 * len(top),
        x={"title": {"text": "dev Pearson, mean over seeds"}},
        y={
            "tickvals": list(range(len(top))),
            "ticktext": [escape(label) for label in labels],
            "range": [len(top) - 0.4, -0.6],
            "zeroline": False,
        },
        legend=factor.name if factor else None,
    )
    narrow = {"yaxis.ticktext": [f"#{rank}" for rank in top["rank"]]}
    return {"data": traces, "layout": layout, "narrow": narrow}


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
        ordered = [(place[level], *match[level]) for level in factor.levels if level in match]
        lines_x += [*(x + shift[config_id] for x, config_id, _ in ordered), None]
        lines_y += [*(score for *_, score in ordered), None]
    traces: list[Figure] = [_line(lines_x, lines_y, colour="@faint", width=1)]
    for index, level, rows in _by_level(configs, factor):
        xs = [place[level] + shift[config_id] for config_id in rows["config_id"]]
        trace = _points(rows, xs, rows["mean"], name=level, colour=_series(index))
        size = 8 if len(configs) <= _MANY else 4
        trace["marker"] |= {"size": size, "symbol": _SYMBOLS[index % len(_SYMBOLS)]}
        ends = [place[level] - 0.3, place[level] + 0.3]
        middle = _line(ends, [averages[level]] * 2, width=2.5)
        words = f"{escape(level)}: {averages[level]:.4f} on average"
        traces += [trace, middle | {"hovertext": words}]
    ticks = {
        "tickvals": list(place.values()),
        "ticktext": [escape(_cut(level, 22)) for level in place],
        "range": [-0.6, len(place) - 0.4],
        "showgrid": False,
        "zeroline": False,
    }
    return {"data": traces, "layout": _layout(height=280, x=ticks, y={"nticks": 6})}


def learning_curves(runs: pd.DataFrame, factor: Factor | None, best: str | None) -> Figure:
    """Dev Pearson by step, a line per run.

    Args:
        runs: A row per run: `config_id`, `label`, `seed`, `state`, `steps`, `scores`.
        best: Id of the config that is drawn on top.
    """
    thin = 1.6 if len(runs) <= _MANY else 0.8
    order = {level: index for index, level in enumerate(factor.levels)} if factor else {}
    complete = runs["state"] == "complete"
    others = runs[complete & (runs["config_id"] != best)]
    levels = others["config_id"].map(factor.level_of if factor else {}).fillna("all configs")
    traces = [
        _curves(rows, name=str(level), colour=_series(order.get(str(level), 0)), width=thin)
        for level, rows in sorted(others.groupby(levels), key=lambda g: order.get(str(g[0]), 0))
    ]
    unfinished = runs[~complete]
    if len(unfinished):
        traces.append(_curves(unfinished, name="failed", colour="@muted", width=thin, dash="dot"))
    champion = runs[complete & (runs["config_id"] == best)]
    if len(champion):
        traces.append(_curves(champion, name="best config", colour="@ink", width=2.6))
    layout = _layout(
        height=420,
        x={"title": {"text": "step"}, "rangemode": "tozero"},
        y={"title": {"text": "dev Pearson"}},
        legend=factor.name if factor else None,
    )
    return {"data": traces, "layout": layout}


def cost_plot(configs: pd.DataFrame, column: str, title: str) -> Figure:
    """Score against what a config costs; what is tied with the best stands out."""
    priced = configs[configs[column].notna()]
    best = priced["rank"] == 1
    tied = pd.Series([flag is True for flag in _flags(priced)], index=priced.index) & ~best
    groups = (
        ("not tied", ~best & ~tied, "@muted", "circle-open", 8),
        ("tied with it", tied, "@series0", "circle", 9),
        ("best", best, "@series1", "star", 14),
    )
    traces = []
    for name, chosen, colour, symbol, size in groups:
        rows = priced[chosen]
        if rows.empty:
            continue
        trace = _points(rows, rows[column].astype(float), rows["mean"], name=name, colour=colour)
        trace["marker"] |= {"symbol": symbol, "size": size}
        if len(priced) <= _MANY:
            trace["error_y"] = _whiskers(rows, colour) | {"thickness": 1}
        traces.append(trace)
    spread = priced[column].max() / max(priced[column].min(), 1e-9) if len(priced) else 1
    scale = {"type": "log", "dtick": "D2"} if 4 < spread < 1000 else {"rangemode": "tozero"}
    x = {"title": {"text": title}, "tickformat": "~s", **scale}
    layout = _layout(height=340, x=x, y={"title": {"text": "dev Pearson"}}, legend="")
    return {"data": traces, "layout": layout}


def _shifts(configs: pd.DataFrame, matches: Sequence[Match]) -> dict[str, float]:
    """Sideways shift by config id, the same for joined configs: their lines run side by side."""
    joined = [[config_id for config_id, _ in match.values()] for match in matches]
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
    trace = _points(configs, xs, configs["mean"], name=factor.name, colour=_series(0))
    trace["marker"] |= {"size": 8 if len(configs) <= _MANY else 4}
    x = {"type": "log", "dtick": "D2", "tickformat": "~g"} if factor.log else {}
    return {"data": [trace], "layout": _layout(height=280, x=x, y={"nticks": 6})}


def _curves(
    runs: pd.DataFrame, *, name: str, colour: str, width: float, dash: str = "solid"
) -> Figure:
    """The lines of several runs as one trace with gaps: a thousand traces would be slow."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for _, run in runs.iterrows():
        label = f"{escape(run['label'])}<br>seed {run['seed']}"
        pairs = list(zip(run["steps"], run["scores"], strict=True))
        xs += [*(step for step, _ in pairs), None]
        ys += [*(score for _, score in pairs), None]
        texts += [*(f"<b>{score:.4f}</b> at step {step}<br>{label}" for step, score in pairs), ""]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(name),
        "x": xs,
        "y": ys,
        "hoverinfo": "text",
        "hovertext": texts,
        "opacity": 0.85,
        "line": {"color": colour, "width": width, "dash": dash},
        "marker": {"color": colour, "size": 2.5 * width},
    }


def _points(rows: pd.DataFrame, x: Any, y: Any, *, name: str, colour: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escape(name),
        "x": list(x),
        "y": list(y),
        "hoverinfo": "text",
        "hovertext": [_hover(row) for _, row in rows.iterrows()],
        "marker": {"color": colour, "line": {"width": 1.4, "color": colour}},
    }


def _line(x: Sequence[Any], y: Sequence[Any], *, width: float, colour: str = "@ink") -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "width": width},
        "showlegend": False,
        "hoverinfo": "skip" if colour == "@faint" else "text",
    }


def _by_level(configs: pd.DataFrame, factor: Factor | None) -> list[tuple[int, str, pd.DataFrame]]:
    """(place, level, its configs) of each level that has some."""
    if factor is None:
        return [(0, "configs", configs)]
    level_of: Callable[[str], str | None] = factor.level_of.get
    levels = configs["config_id"].map(level_of)
    found = [(i, level, configs[levels == level]) for i, level in enumerate(factor.levels)]
    return [entry for entry in found if len(entry[2])]


def _hover(row: pd.Series[Any]) -> str:
    interval = ""
    if pd.notna(row["ci_low"]):
        interval = f" [{row['ci_low']:.4f}, {row['ci_high']:.4f}]"
    seeds = "" if row["n_seeds"] == 1 else f"<br>{row['n_seeds']} seeds"
    return f"<b>{row['mean']:.4f}</b>{interval}<br>#{row['rank']} {escape(row['label'])}{seeds}"


def _whiskers(rows: pd.DataFrame, colour: str) -> Figure:
    return {
        "type": "data",
        "symmetric": False,
        "array": list(rows["ci_high"] - rows["mean"]),
        "arrayminus": list(rows["mean"] - rows["ci_low"]),
        "thickness": 1.6,
        "width": 0,
        "color": colour,
    }


def _flags(rows: pd.DataFrame) -> list[bool | None]:
    """Tied with the best, or None where that is not known."""
    return [None if pd.isna(flag) else bool(flag) for flag in rows["tied_with_best"]]


def _series(index: int) -> str:
    return f"@series{index % len(_SYMBOLS)}"


def _cut(text: str, longest: int = _LONGEST_LABEL) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _layout(*, height: int, x: Figure, y: Figure, legend: str | None = None) -> Figure:
    """What all figures share. `legend` is its title; None hides it."""
    axis: Figure = {
        "gridcolor": "@grid",
        "linecolor": "@grid",
        "zerolinecolor": "@grid",
        "automargin": True,
        "ticks": "",
        "title": {"font": {"size": 12.5}, "standoff": 8},
    }
    xaxis, yaxis = (
        {**axis, **own, "title": axis["title"] | own.get("title", {})} for own in (x, y)
    )
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 40 if legend is not None else 12, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "@muted", "size": 12.5},
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "@paper",
            "bordercolor": "@faint",
            "font": {"color": "@ink", "size": 12.5},
            "align": "left",
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "@faint", "activecolor": "@ink"},
        "showlegend": legend is not None,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "title": {"text": f"{escape(legend)}  " if legend else "", "font": {"size": 12.5}},
        },
        "xaxis": xaxis,
        "yaxis": yaxis,
    }
