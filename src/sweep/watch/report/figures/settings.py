"""What the searched settings do: effects, importance, and settings seen together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from sweep.watch.report.factors import Factor
from sweep.watch.report.figures.parts import (
    MANY,
    Figure,
    bars,
    colour_bar,
    heat_map,
    layout,
    line,
    points,
    whiskers,
)
from sweep.watch.report.palette import SCALE
from sweep.watch.report.words import cut

#: Bands of equally many configs that the lines of `parallel` are coloured by, the best last.
_BANDS = ("lowest fifth", "second", "third", "fourth", "highest fifth")
_BAND_COLOURS = ("@faint", "@series6", "@series0", "@series4", "@series1")


def forest(effects: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Difference of each level from the best of its setting, with its interval, by row.

    Args:
        effects: Rows of `effects.csv`. Open marks can't be told from the best level.
        names: Text of each row.
    """
    told = effects["distinguishable"] == True  # noqa: E712 - missing is not told apart
    rows = effects.assign(place=range(len(effects)))
    traces = []
    for name, chosen, colour, symbol in (
        ("told apart", told, "@series1", "square"),
        ("not distinguishable from the best level", ~told, "@series0", "circle-open"),
    ):
        part = rows[chosen]
        if part.empty:
            continue
        trace: Figure = {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": list(part["difference"]),
            "y": list(part["place"]),
            "error_x": whiskers(part, "difference", colour),
            "hoverinfo": "text",
            "hovertext": [
                _effect_hover(names[row["place"]], row) for row in part.to_dict("records")
            ],
            "marker": {"color": colour, "symbol": symbol, "size": 10, "line": {"width": 1.6}},
        }
        traces.append(trace)
    y = {
        "tickvals": list(rows["place"]),
        "ticktext": [escape(cut(name, 40)) for name in names],
        "range": [len(rows) - 0.4, -0.6],
        "zeroline": False,
    }
    x = {"title": {"text": "dev Pearson, difference from the best level"}, "zerolinecolor": "@ink"}
    shape = layout(height=100 + 26 * len(rows), x=x, y=y, legend="")
    return {"data": traces, "layout": shape}


def importance(shares: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Share of the score's variance that goes with each setting; a bar with its interval."""
    texts = [
        f"{name}: {row['importance']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
        if pd.notna(row["ci_low"])
        else f"{name}: {row['importance']:.2f}"
        for name, (_, row) in zip(names, shares.iterrows(), strict=True)
    ]
    trace = bars(names, list(shares["importance"]), texts=texts, colour="@series0")
    trace["marker"]["opacity"] = 0.75
    trace["error_x"] = whiskers(shares.iloc[::-1], "importance", "@ink")
    x = {"title": {"text": "importance"}, "rangemode": "tozero"}
    shape = layout(height=90 + 34 * len(shares), x=x, y={"showgrid": False})
    return {"data": [trace], "layout": shape}


def parallel(configs: pd.DataFrame, factors: Sequence[Factor]) -> Figure:
    """A line per config through its settings to its score, coloured by fifths of the score.

    Plain lines instead of plotly's own kind: they print, they can be drawn without WebGL,
    and the legend takes a fifth away by a click.
    """
    axes = [_axis(configs, factor) for factor in factors]
    low, high = float(configs["mean"].min()), float(configs["mean"].max())
    scores = (configs["mean"] - low) / ((high - low) or 1.0)
    heights = [*(positions for positions, _ in axes), list(scores)]
    ranks = configs["mean"].rank(method="first")
    band = ((ranks - 1) * len(_BANDS) // len(configs)).astype(int)
    traces = []
    for number, name in enumerate(_BANDS):
        chosen = [i for i, b in enumerate(band) if b == number]
        if chosen:
            traces.append(_paths(configs, heights, chosen, name, _BAND_COLOURS[number]))
    marks = [*(ticks for _, ticks in axes), {0.0: f"{low:.3f}", 1.0: f"{high:.3f}"}]
    x = {
        "tickvals": list(range(len(marks))),
        "ticktext": [*(escape(cut(f.name, 20)) for f in factors), "dev Pearson"],
        "range": [-0.35, len(marks) - 0.65],
        "gridcolor": "@faint",
        "zeroline": False,
    }
    y = {"showticklabels": False, "showgrid": False, "zeroline": False, "range": [-0.17, 1.17]}
    shape = layout(height=420, x=x, y=y, legend="")
    shape["annotations"] = [
        _annotation(column, height, text)
        for column, ticks in enumerate(marks)
        for height, text in ticks.items()
    ]
    return {"data": traces, "layout": shape}


def score_grid(configs: pd.DataFrame, rows: Factor, columns: Factor) -> Figure | None:
    """Mean score by the levels of two settings; None where a cell tells no more than a row.

    That is so where the two were only varied together, such as pairs of rank and alpha.
    """
    placed = pd.DataFrame(
        {
            "row": configs["config_id"].map(rows.level_of),
            "column": configs["config_id"].map(columns.level_of),
            "mean": configs["mean"],
        }
    )
    cells = placed.groupby(["row", "column"])["mean"].agg(["mean", "max", "size"])
    if len(cells) <= max(len(rows.levels), len(columns.levels)):
        return None

    found: dict[Any, dict[Any, Any]] = cells.to_dict("index")
    texts = pd.DataFrame(
        [
            [_cell_hover(found.get((r, c)), rows.name, r, columns.name, c) for c in columns.levels]
            for r in rows.levels
        ]
    )
    means = cells["mean"].unstack("column")
    means = means.reindex(index=list(rows.levels), columns=list(columns.levels))
    trace = heat_map(means, texts, digits=3, title="dev<br>Pearson")
    shape = layout(
        height=120 + 44 * max(len(rows.levels), 4),
        x={"title": {"text": escape(columns.name)}, "type": "category", "showgrid": False},
        y={"title": {"text": escape(rows.name)}, "type": "category", "showgrid": False},
    )
    return {"data": [trace], "layout": shape}


def score_map(configs: pd.DataFrame, x: pd.Series[float], y: pd.Series[float]) -> Figure:
    """Configs by two numbers on log scales, coloured by their score; names are the series'."""
    trace = points(configs, x, y, name="configs", colour="@ink")
    trace["marker"] |= {
        "color": list(configs["mean"]),
        "colorscale": [list(step) for step in SCALE],
        "showscale": True,
        "colorbar": colour_bar("dev<br>Pearson"),
        "size": 10 if len(configs) <= MANY else 6,
        "line": {"width": 0},
    }
    along, up = (
        {"title": {"text": escape(str(s.name))}, "type": "log", "tickformat": "~g"} for s in (x, y)
    )
    return {"data": [trace], "layout": layout(height=340, x=along, y=up)}


def _axis(configs: pd.DataFrame, factor: Factor) -> tuple[list[float], dict[float, str]]:
    """Height from 0 to 1 by config, and what stands beside some heights."""
    ids = configs["config_id"]
    if factor.numbers is not None:
        ranks = pd.Series([factor.numbers[i] for i in ids]).rank(method="average")
        scaled = (ranks - 1) / max(len(ranks) - 1, 1)
        numbers = sorted(factor.numbers.values())
        ends = {0.0: numbers[0], 0.5: numbers[len(numbers) // 2], 1.0: numbers[-1]}
        return list(scaled), {height: f"{number:.3g}" for height, number in ends.items()}
    last = max(len(factor.levels) - 1, 1)
    place = {level: index / last for index, level in enumerate(factor.levels)}
    # A little apart, so that lines of one level do not hide each other.
    spread = 0.5 / (last + 1) / max(len(configs) - 1, 1)
    middle = (len(configs) - 1) / 2
    heights = [place[factor.level_of[c]] + spread * (middle - n) for n, c in enumerate(ids)]
    return heights, {height: cut(level, 18) for level, height in place.items()}


def _paths(
    configs: pd.DataFrame,
    heights: Sequence[Sequence[float]],
    chosen: Sequence[int],
    name: str,
    colour: str,
) -> Figure:
    trace = line([], [], width=1.8 if len(configs) <= MANY else 0.7, colour=colour)
    texts = list(points(configs, [], [], name=name, colour=colour)["hovertext"])
    for index in chosen:
        trace["x"] += [*range(len(heights)), None]
        trace["y"] += [*(round(column[index], 4) for column in heights), None]
    hovered = [text for i in chosen for text in [*[texts[i]] * len(heights), ""]]
    own = {"name": name, "showlegend": True, "opacity": 0.75}
    return trace | own | {"hoverinfo": "text", "hovertext": hovered}


def _annotation(column: int, height: float, text: str) -> Figure:
    return {
        "x": column,
        "y": height,
        "text": escape(text),
        "showarrow": False,
        "bgcolor": "@paper",
        "borderpad": 2,
        "font": {"size": 12, "color": "@ink"},
    }


def _cell_hover(
    cell: Mapping[Any, Any] | None, row: str, row_level: str, column: str, column_level: str
) -> str:
    if cell is None:
        return ""
    return (
        f"<b>{cell['mean']:.4f}</b> on average, {cell['max']:.4f} at best<br>"
        f"{escape(row)} {escape(row_level)}, {escape(column)} {escape(column_level)}<br>"
        f"configs: {cell['size']}"
    )


def _effect_hover(name: str, row: Mapping[Any, Any]) -> str:
    interval = ""
    if pd.notna(row["ci_low"]):
        interval = f" [{row['ci_low']:+.4f}, {row['ci_high']:+.4f}]"
    return (
        f"<b>{row['difference']:+.4f}</b>{interval}<br>{escape(name)}<br>"
        f"mean {row['mean']:.4f} over {row['num_configs']:.0f} configs"
    )
