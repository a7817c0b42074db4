"""Score against cost, and what was planned against what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sweep.study.plan import Compared
from sweep.study.rows import ConfigRow, cost_front
from sweep.watch.report.figures.parts import (
    MANY,
    SCORE,
    Figure,
    intervals,
    layout,
    line,
    points,
    scores_of,
    whiskers,
)

#: Name, who is in it, colour, mark and its size; the first that fits.
_Group = tuple[str, Callable[[ConfigRow], bool], str, str, int]
_GROUPS: tuple[_Group, ...] = (
    ("best", lambda row: row.rank == 1, "@series1", "star", 14),
    ("tied with it", lambda row: row.tied_with_best is True, "@series0", "circle", 9),
    ("not tied", lambda row: True, "@muted", "circle-open", 8),
)


def cost_plot(configs: Sequence[ConfigRow], cost: str, title: str) -> Figure:
    """Score against what a config costs; what is tied with the best stands out.

    Args:
        cost: The field that holds it.
    """
    prices = {row.config_id: price for row in configs if (price := row.measure(cost)) is not None}
    left = [row for row in configs if row.config_id in prices]
    many = len(left) > MANY
    drawn = []
    for name, belongs, colour, symbol, size in _GROUPS:
        rows, left = [r for r in left if belongs(r)], [r for r in left if not belongs(r)]
        if not rows:
            continue
        costs = [float(prices[row.config_id]) for row in rows]
        trace = points(rows, costs, scores_of(rows), name=name, colour=colour)
        trace["marker"] |= {"symbol": symbol, "size": size}
        if not many:
            trace["error_y"] = whiskers(intervals(rows), colour) | {"thickness": 1}
        drawn.append(trace)
    front = cost_front(configs, cost)
    traces = [_front(front, [float(prices[row.config_id]) for row in front]), *drawn[::-1]]
    x = {"title": {"text": title}, "tickformat": "~s", **_scale(list(prices.values()))}
    shape = layout(height=340, x=x, y={"title": {"text": SCORE}}, legend="")
    return {"data": traces, "layout": shape}


def planned_plot(found: Sequence[Compared], hovers: Sequence[str], unit: str) -> Figure:
    """Measured against planned, a point per config; on the line the plan was right.

    Args:
        hovers: Hover text of each config.
    """
    values = [value for one in found for value in (one.planned, one.measured)]
    ends = [min(values) * 0.9, max(values) * 1.1]
    trace: Figure = {
        "type": "scatter",
        "mode": "markers",
        "name": "configs",
        "x": [one.planned for one in found],
        "y": [one.measured for one in found],
        "hoverinfo": "text",
        "hovertext": [
            f"planned <b>{one.planned:,.1f}</b>, measured <b>{one.measured:,.1f}</b> {unit}<br>"
            f"{text}"
            for one, text in zip(found, hovers, strict=True)
        ],
        "marker": {"color": "@series0", "size": 8 if len(found) <= MANY else 4},
    }
    x = {"title": {"text": f"planned, {unit}"}, "tickformat": "~s"}
    y = {"title": {"text": f"measured, {unit}"}, "tickformat": "~s"}
    traces = [line(ends, ends, width=1, colour="@faint"), trace]
    return {"data": traces, "layout": layout(height=320, x=x, y=y)}


def _front(front: Sequence[ConfigRow], costs: Sequence[float]) -> Figure:
    """Steps: between two configs of the front the cheaper one is what can be had."""
    trace = line(costs, scores_of(front), width=1.6, colour="@series0")
    trace["line"] |= {"shape": "hv", "dash": "dash"}
    return trace | {"name": "Pareto front", "showlegend": True, "hoverinfo": "skip"}


def _scale(costs: Sequence[float]) -> Figure:
    spread = max(costs) / max(min(costs), 1e-9) if costs else 1
    return {"type": "log", "dtick": "D2"} if 4 < spread < 1000 else {"rangemode": "tozero"}
