"""Score against cost, and what was planned against what was measured."""

from __future__ import annotations

import pandas as pd

from sweep.watch.report.figures.parts import (
    MANY,
    Figure,
    flags,
    layout,
    line,
    points,
    whiskers,
)


def pareto_front(configs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Configs that no other beats in score at the same or a lower cost, the cheapest first."""
    ordered = configs[configs[column].notna()].sort_values(
        [column, "mean"], ascending=[True, False], kind="stable"
    )
    best_before = ordered["mean"].cummax().shift(fill_value=float("-inf"))
    return ordered[ordered["mean"] > best_before]


def cost_plot(configs: pd.DataFrame, column: str, title: str) -> Figure:
    """Score against what a config costs; what is tied with the best stands out."""
    priced = configs[configs[column].notna()]
    best = priced["rank"] == 1
    tied = pd.Series([flag is True for flag in flags(priced)], index=priced.index) & ~best
    groups = (
        ("not tied", ~best & ~tied, "@muted", "circle-open", 8),
        ("tied with it", tied, "@series0", "circle", 9),
        ("best", best, "@series1", "star", 14),
    )
    traces = [_front(pareto_front(configs, column), column)]
    for name, chosen, colour, symbol, size in groups:
        rows = priced[chosen]
        if rows.empty:
            continue
        trace = points(rows, rows[column].astype(float), rows["mean"], name=name, colour=colour)
        trace["marker"] |= {"symbol": symbol, "size": size}
        if len(priced) <= MANY:
            trace["error_y"] = whiskers(rows, "mean", colour) | {"thickness": 1}
        traces.append(trace)
    x = {"title": {"text": title}, "tickformat": "~s", **_scale(priced[column])}
    shape = layout(height=340, x=x, y={"title": {"text": "dev Pearson"}}, legend="")
    return {"data": traces, "layout": shape}


def planned_plot(rows: pd.DataFrame, unit: str) -> Figure:
    """Measured against planned, a point per config; on the line the plan was right.

    Args:
        rows: `label`, `planned`, `measured`, and what `points` needs for its hover text.
    """
    ends = [
        float(min(rows["planned"].min(), rows["measured"].min())) * 0.9,
        float(max(rows["planned"].max(), rows["measured"].max())) * 1.1,
    ]
    trace = points(rows, rows["planned"], rows["measured"], name="configs", colour="@series0")
    trace["hovertext"] = [
        f"planned <b>{planned:,.1f}</b>, measured <b>{measured:,.1f}</b> {unit}<br>{text}"
        for planned, measured, text in zip(
            rows["planned"], rows["measured"], trace["hovertext"], strict=True
        )
    ]
    trace["marker"] |= {"size": 8 if len(rows) <= MANY else 4}
    x = {"title": {"text": f"planned, {unit}"}, "tickformat": "~s"}
    y = {"title": {"text": f"measured, {unit}"}, "tickformat": "~s"}
    traces = [line(ends, ends, width=1, colour="@faint"), trace]
    return {"data": traces, "layout": layout(height=320, x=x, y=y)}


def _front(front: pd.DataFrame, column: str) -> Figure:
    """Steps: between two configs of the front the cheaper one is what can be had."""
    trace = line(
        list(front[column].astype(float)), list(front["mean"]), width=1.6, colour="@series0"
    )
    trace["line"] |= {"shape": "hv", "dash": "dash"}
    return trace | {"name": "Pareto front", "showlegend": True, "hoverinfo": "skip"}


def _scale(costs: pd.Series[float]) -> Figure:
    spread = costs.max() / max(costs.min(), 1e-9) if len(costs) else 1
    return {"type": "log", "dtick": "D2"} if 4 < spread < 1000 else {"rangemode": "tozero"}
