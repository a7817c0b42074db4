"""What the figures share. Text from the user is escaped, since plotly reads a little HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import pandas as pd

from sweep.watch.report.factors import Factor
from sweep.watch.report.palette import NUM_SERIES, SCALE

Figure = dict[str, Any]

#: More configs or runs than this are drawn smaller, thinner, without error bars.
MANY = 100
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")


def points(rows: pd.DataFrame, x: Any, y: Any, *, name: str, colour: str) -> Figure:
    """Markers of configs, each with its hover text."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escape(name),
        "x": list(x),
        "y": list(y),
        "hoverinfo": "text",
        "hovertext": [hover(row) for row in rows.to_dict("records")],
        "marker": {"color": colour, "line": {"width": 1.4, "color": colour}},
    }


def line(x: Sequence[Any], y: Sequence[Any], *, width: float, colour: str = "@ink") -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "width": width},
        "showlegend": False,
        "hoverinfo": "skip" if colour == "@faint" else "text",
    }


def bars(y: Sequence[str], x: Sequence[float], *, texts: Sequence[str], colour: Any) -> Figure:
    """Horizontal bars, the first on top."""
    return {
        "type": "bar",
        "orientation": "h",
        "x": list(x)[::-1],
        "y": [escape(name) for name in y][::-1],
        "hoverinfo": "text",
        "hovertext": [escape(text) for text in texts][::-1],
        "marker": {"color": colour},
        "width": 0.55,
    }


def whiskers(rows: pd.DataFrame, centre: str, colour: str) -> Figure:
    """Error bars from `ci_low` to `ci_high` around the column `centre`."""
    return {
        "type": "data",
        "symmetric": False,
        "array": list(rows["ci_high"] - rows[centre]),
        "arrayminus": list(rows[centre] - rows["ci_low"]),
        "thickness": 1.6,
        "width": 0,
        "color": colour,
    }


def heat_map(grid: pd.DataFrame, texts: pd.DataFrame, *, digits: int, title: str) -> Figure:
    """A trace: rows and columns of `grid` as they stand, numbers in the cells where they fit."""
    small = grid.size <= 80
    return {
        "type": "heatmap",
        "x": [escape(str(name)) for name in grid.columns],
        "y": [escape(str(name)) for name in grid.index],
        "z": grid.astype(object).where(grid.notna(), None).to_numpy().tolist(),
        "hoverinfo": "text",
        "hovertext": texts.to_numpy().tolist(),
        "hoverongaps": False,
        "texttemplate": f"%{{z:.{digits}f}}" if small else "",
        "colorscale": [list(step) for step in SCALE],
        "colorbar": colour_bar(title),
        "xgap": 2,
        "ygap": 2,
    }


def colour_bar(title: str) -> Figure:
    words = {"text": title, "font": {"size": 12}}
    return {"thickness": 10, "outlinewidth": 0, "ticks": "", "title": words}


def by_level(configs: pd.DataFrame, factor: Factor | None) -> list[tuple[int, str, pd.DataFrame]]:
    """(place, level, its configs) of each level that has some."""
    if factor is None:
        return [(0, "configs", configs)]
    level_of: Callable[[str], str | None] = factor.level_of.get
    levels = configs["config_id"].map(level_of)
    found = [(i, level, configs[levels == level]) for i, level in enumerate(factor.levels)]
    return [entry for entry in found if len(entry[2])]


def hover(row: dict[Any, Any]) -> str:
    """Score, interval, rank and settings of a config, number of seeds; what is known of it."""
    interval = ""
    if pd.notna(row["ci_low"]):
        interval = f" [{row['ci_low']:.4f}, {row['ci_high']:.4f}]"
    seeds = f"<br>{row['n_seeds']:.0f} seeds" if row["n_seeds"] > 1 else ""
    return f"<b>{row['mean']:.4f}</b>{interval}<br>#{row['rank']} {escape(row['label'])}{seeds}"


def flags(rows: pd.DataFrame) -> list[bool | None]:
    """Tied with the best, or None where that is not known."""
    return [None if pd.isna(flag) else bool(flag) for flag in rows["tied_with_best"]]


def series(index: int) -> str:
    return f"@series{index % NUM_SERIES}"


def layout(*, height: int, x: Figure, y: Figure, legend: str | None = None) -> Figure:
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
