"""What the searched settings do: effects, importance, and settings seen together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from sweep.core.words import name_of
from sweep.stats.by_level import Cell, bands
from sweep.stats.effects import Effect, Importance
from sweep.stats.levels import Factor
from sweep.study.rows import ConfigRow
from sweep.watch.report.figures.parts import (
    MANY,
    SCORE,
    SCORE_IN_TWO,
    Figure,
    bars,
    colour_bar,
    cut,
    factor_name,
    heat_map,
    hover,
    layout,
    line,
    points,
    scores_of,
    whiskers,
)
from sweep.watch.report.palette import SCALE

#: Bands of equally many configs that the lines of `parallel` are coloured by, the best last.
_BANDS = ("lowest fifth", "second", "third", "fourth", "highest fifth")
_BAND_COLOURS = ("@faint", "@series6", "@series0", "@series4", "@series1")


def forest(effects: Sequence[Effect]) -> Figure:
    """Difference of each level from the best of its setting, with its interval, by row.

    Open marks can't be told from the best level.
    """
    names = [f"{name_of(effect.key)}: {effect.level}" for effect in effects]
    traces = []
    for name, told, colour, symbol in (
        ("told apart", True, "@series1", "square"),
        ("not distinguishable from the best level", False, "@series0", "circle-open"),
    ):
        part = [(n, e) for n, e in enumerate(effects) if e.distinguishable is told]
        if not part:
            continue
        ends = [(e.difference, e.ci_low, e.ci_high) for _, e in part]
        trace: Figure = {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [effect.difference for _, effect in part],
            "y": [place for place, _ in part],
            "error_x": whiskers(ends, colour),
            "hoverinfo": "text",
            "hovertext": [_effect_hover(names[place], effect) for place, effect in part],
            "marker": {"color": colour, "symbol": symbol, "size": 10, "line": {"width": 1.6}},
        }
        traces.append(trace)
    y = {
        "tickvals": list(range(len(effects))),
        "ticktext": [escape(cut(name, 40)) for name in names],
        "range": [len(effects) - 0.4, -0.6],
        "zeroline": False,
    }
    x = {"title": {"text": f"{SCORE}, difference from the best level"}, "zerolinecolor": "@ink"}
    shape = layout(height=100 + 26 * len(effects), x=x, y=y, legend="")
    return {"data": traces, "layout": shape}


def importance(shares: Sequence[Importance]) -> Figure:
    """Share of the score's variance that goes with each setting; a bar with its interval."""
    names = [name_of(share.key) for share in shares]
    texts = [
        f"{name}: {share.importance:.2f} [{share.ci_low:.2f}, {share.ci_high:.2f}]"
        for name, share in zip(names, shares, strict=True)
    ]
    values = [share.importance for share in shares]
    trace = bars(names, values, texts=texts, colour="@series0")
    trace["marker"]["opacity"] = 0.75
    ends = [(share.importance, share.ci_low, share.ci_high) for share in shares]
    trace["error_x"] = whiskers(ends[::-1], "@ink")
    x = {"title": {"text": "importance"}, "rangemode": "tozero"}
    shape = layout(height=90 + 34 * len(shares), x=x, y={"showgrid": False})
    return {"data": [trace], "layout": shape}


def parallel(configs: Sequence[ConfigRow], factors: Sequence[Factor]) -> Figure:
    """A line per config through its settings to its score, coloured by fifths of the score.

    Plain lines instead of plotly's own kind: they print, they can be drawn without WebGL,
    and the legend takes a fifth away by a click.
    """
    axes = [_axis(factor) for factor in factors]
    means = scores_of(configs)
    low, high = min(means), max(means)
    scores = [(mean - low) / ((high - low) or 1.0) for mean in means]
    heights = [*(positions for positions, _ in axes), scores]
    band_of = bands(means, len(_BANDS))
    traces = []
    for number, name in enumerate(_BANDS):
        chosen = [place for place, band in enumerate(band_of) if band == number]
        if chosen:
            traces.append(_paths(configs, heights, chosen, name, _BAND_COLOURS[number]))
    marks = [*(ticks for _, ticks in axes), {0.0: f"{low:.3f}", 1.0: f"{high:.3f}"}]
    x = {
        "tickvals": list(range(len(marks))),
        "ticktext": [*(escape(cut(factor_name(f), 20)) for f in factors), SCORE],
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


def score_grid(rows: Factor, columns: Factor, cells: Mapping[tuple[int, int], Cell]) -> Figure:
    """Mean score by the levels of two settings."""
    names = factor_name(rows), factor_name(columns)
    found = {
        (row, column): (
            cell.mean,
            f"<b>{cell.mean:.4f}</b> on average, {cell.best:.4f} at best<br>"
            f"{escape(names[0])} {escape(rows.levels[row])}, "
            f"{escape(names[1])} {escape(columns.levels[column])}<br>"
            f"configs: {cell.num_configs}",
        )
        for (row, column), cell in cells.items()
    }
    trace = heat_map(rows.levels, columns.levels, found, digits=3, title=SCORE_IN_TWO)
    shape = layout(
        height=120 + 44 * max(len(rows.levels), 4),
        x={"title": {"text": escape(names[1])}, "type": "category", "showgrid": False},
        y={"title": {"text": escape(names[0])}, "type": "category", "showgrid": False},
    )
    return {"data": [trace], "layout": shape}


def score_map(
    configs: Sequence[ConfigRow],
    along: Sequence[float],
    up: Sequence[float],
    *,
    titles: tuple[str, str],
) -> Figure:
    """Configs by two numbers on log scales, coloured by their score."""
    trace = points(configs, along, up, name="configs", colour="@ink")
    trace["marker"] |= {
        "color": scores_of(configs),
        "colorscale": [list(step) for step in SCALE],
        "showscale": True,
        "colorbar": colour_bar(SCORE_IN_TWO),
        "size": 10 if len(configs) <= MANY else 6,
        "line": {"width": 0},
    }
    x, y = (
        {"title": {"text": escape(title)}, "type": "log", "tickformat": "~g"} for title in titles
    )
    return {"data": [trace], "layout": layout(height=340, x=x, y=y)}


def _axis(factor: Factor) -> tuple[list[float], dict[float, str]]:
    """Height from 0 to 1 by config, and what stands beside some heights."""
    if factor.range is not None:
        ends = zip((0.0, 0.5, 1.0), factor.range.ends, strict=True)
        return factor.range.places, {height: f"{number:.3g}" for height, number in ends}
    number = len(factor.of_config)
    last = max(len(factor.levels) - 1, 1)
    # A little apart, so that lines of one level do not hide each other.
    spread = 0.5 / (last + 1) / max(number - 1, 1)
    middle = (number - 1) / 2
    heights = [
        level / last + spread * (middle - place) for place, level in enumerate(factor.of_config)
    ]
    return heights, {level / last: cut(name, 18) for level, name in enumerate(factor.levels)}


def _paths(
    configs: Sequence[ConfigRow],
    heights: Sequence[Sequence[float]],
    chosen: Sequence[int],
    name: str,
    colour: str,
) -> Figure:
    trace = line([], [], width=1.8 if len(configs) <= MANY else 0.7, colour=colour)
    for index in chosen:
        trace["x"] += [*range(len(heights)), None]
        trace["y"] += [*(round(column[index], 4) for column in heights), None]
    hovered = [text for i in chosen for text in [*[hover(configs[i])] * len(heights), ""]]
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


def _effect_hover(name: str, effect: Effect) -> str:
    interval = ""
    if effect.ci_low is not None and effect.ci_high is not None:
        interval = f" [{effect.ci_low:+.4f}, {effect.ci_high:+.4f}]"
    return (
        f"<b>{effect.difference:+.4f}</b>{interval}<br>{escape(name)}<br>"
        f"mean {effect.mean:.4f} over {effect.num_configs} configs"
    )
