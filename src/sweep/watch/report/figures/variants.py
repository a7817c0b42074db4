"""Expected best of n draws, a line for each method."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sweep.stats.best_of import Drawn
from sweep.watch.report.figures.parts import SCORE, SYMBOLS, Figure, layout, series


def best_of(found: Sequence[Drawn]) -> Figure:
    """Score over the number of draws; where one draw is far below, a method needs its rate."""
    x = {"title": {"text": "draws"}, "dtick": 1}
    y = {"title": {"text": f"expected best ({SCORE})"}}
    traces = [_trace(one, number) for number, one in enumerate(found)]
    return {"data": traces, "layout": layout(height=380, x=x, y=y, legend="")}


def _trace(one: Drawn, number: int) -> Figure:
    draws = range(1, one.num_configs + 1)
    colour = series(number)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(one.name),
        "x": list(draws),
        "y": list(one.best_of),
        "hoverinfo": "text",
        "hovertext": [
            f"<b>{score:.4f}</b><br>{escape(one.name)}, {n} draws"
            for n, score in zip(draws, one.best_of, strict=True)
        ],
        "line": {"color": colour, "width": 1.6},
        "marker": {"color": colour, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 7},
    }
