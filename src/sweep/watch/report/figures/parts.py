"""What the figures share. Text from the user is escaped, since plotly reads a little HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sweep.core.words import name_of
from sweep.stats.levels import Factor
from sweep.study.rows import ConfigRow
from sweep.watch.report.palette import NUM_SERIES, SCALE

Figure = dict[str, Any]

#: More configs or runs than this are drawn smaller, thinner, without error bars.
MANY = 100
#: Characters of a label; longer ones are cut.
_LONGEST_LABEL = 58
#: Stands in a title for what the scores are of; `with_score` puts in the word.
_METRIC = "@metric"
SCORE, SCORE_IN_TWO = f"dev {_METRIC}", f"dev<br>{_METRIC}"
#: Keys of titles.
_TITLES = ("text", "ticktext")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")


def points(
    rows: Sequence[ConfigRow], x: Sequence[Any], y: Sequence[Any], *, name: str, colour: str
) -> Figure:
    """Markers of configs, each with its hover text."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escape(name),
        "x": list(x),
        "y": list(y),
        "hoverinfo": "text",
        "hovertext": [hover(row) for row in rows],
        "marker": {"color": colour, "line": {"width": 1.4, "color": colour}},
    }


def with_score(figure: Figure, word: str) -> Figure:
    """The figure with the word for what the scores are of in its titles."""
    named: Figure = _named(figure, word, title=False)
    return named


def _named(node: Any, word: str, *, title: bool) -> Any:
    """Only titles: a label of the user's may begin with @ as well."""
    if isinstance(node, str):
        return node.replace(_METRIC, word) if title else node
    if isinstance(node, Mapping):
        return {key: _named(v, word, title=key in _TITLES) for key, v in node.items()}
    if title and isinstance(node, list):
        return [_named(one, word, title=True) for one in node]
    return node


def scores_of(rows: Sequence[ConfigRow]) -> list[float]:
    return [row.mean for row in rows]


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


def whiskers(ends: Sequence[tuple[float, float | None, float | None]], colour: str) -> Figure:
    """Error bars from the low to the high end around each value; none where they are missing."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [None if high is None else high - value for value, _, high in ends],
        "arrayminus": [None if low is None else value - low for value, low, _ in ends],
        "thickness": 1.6,
        "width": 0,
        "color": colour,
    }


def intervals(rows: Sequence[ConfigRow]) -> list[tuple[float, float | None, float | None]]:
    """Scores and the ends of their intervals, for `whiskers`."""
    return [(row.mean, row.ci_low, row.ci_high) for row in rows]


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[int, int], tuple[float | None, str]],
    *,
    digits: int,
    title: str,
) -> Figure:
    """A trace: values in the cells by row and column, numbers shown where they fit.

    Args:
        cells: Value and hover text; missing ones are empty.
    """
    found = [[cells.get((r, c), (None, "")) for c in range(len(columns))] for r in range(len(rows))]
    small = len(rows) * len(columns) <= 80
    return {
        "type": "heatmap",
        "x": [escape(name) for name in columns],
        "y": [escape(name) for name in rows],
        "z": [[value for value, _ in row] for row in found],
        "hoverinfo": "text",
        "hovertext": [[text for _, text in row] for row in found],
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


def by_level(rows: Sequence[ConfigRow], factor: Factor | None) -> list[tuple[int, str, list[int]]]:
    """Index and name of each level that some of these configs have, and their places.

    Args:
        factor: Of these configs, or of more that follow them.
    """
    if factor is None:
        return [(0, "configs", list(range(len(rows))))]
    levels = list(zip(range(len(rows)), factor.of_config, strict=False))
    found = [
        (level, name, [place for place, own in levels if own == level])
        for level, name in enumerate(factor.levels)
    ]
    return [entry for entry in found if entry[2]]


def hover(row: ConfigRow) -> str:
    """Score, interval, rank and settings of a config, number of seeds; what is known of it."""
    interval = ""
    if row.ci_low is not None and row.ci_high is not None:
        interval = f" [{row.ci_low:.4f}, {row.ci_high:.4f}]"
    seeds = "" if row.std is None else f"<br>{row.n_seeds} seeds"
    return f"<b>{row.mean:.4f}</b>{interval}<br>#{row.rank} {escape(row.words)}{seeds}"


def factor_name(factor: Factor) -> str:
    """`r + alpha` for keys that changed together."""
    return name_of(factor.key)


def cut(text: str, longest: int = _LONGEST_LABEL) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


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
