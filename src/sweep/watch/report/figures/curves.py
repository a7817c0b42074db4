"""Dev Pearson by step, and where pruning ended runs."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from sweep.watch.report.factors import Factor
from sweep.watch.report.figures.parts import MANY, Figure, layout, series
from sweep.watch.report.words import counted

#: Lines that a reader can still tell apart.
MAX_CURVES = 200
_ENDS = {"pruned": "x-thin-open", "failed": "circle-x-open"}


def learning_curves(runs: pd.DataFrame, factor: Factor | None, best: str | None) -> Figure:
    """Dev Pearson by step, a line per run; a cross where pruning ended it.

    Args:
        runs: A row per run: `config_id`, `label`, `seed`, `state`, `steps`, `scores` and
            `audited_step`, where pruning would have ended a run that was trained on.
        best: Id of the config that is drawn on top.
    """
    thin = 1.6 if len(runs) <= MANY else 0.8
    order = {level: index for index, level in enumerate(factor.levels)} if factor else {}
    complete = runs["state"] == "complete"
    others = runs[complete & (runs["config_id"] != best)]
    levels = others["config_id"].map(factor.level_of if factor else {}).fillna("all configs")
    traces = [
        _curves(rows, name=str(level), colour=series(order.get(str(level), 0)), width=thin)
        for level, rows in sorted(others.groupby(levels), key=lambda g: order.get(str(g[0]), 0))
    ]
    for state in ("pruned", "failed"):
        ended = runs[runs["state"] == state]
        if len(ended):
            traces += _ended(ended, state, width=thin)
    champion = runs[complete & (runs["config_id"] == best)]
    if len(champion):
        traces.append(_curves(champion, name="best config", colour="@ink", width=2.6))
    audited = runs[runs["audited_step"].notna()]
    if len(audited):
        traces.append(_audited(audited))
    x: Figure = {"title": {"text": "step"}, "rangemode": "tozero"}
    y: Figure = {"title": {"text": "dev Pearson"}}
    legend = factor.name if factor else ""
    return {"data": traces, "layout": layout(height=420, x=x, y=y, legend=legend)}


def stops(pruned: Mapping[int, int]) -> Figure:
    """How many runs were ended after how many steps."""
    steps = sorted(pruned)
    trace = {
        "type": "bar",
        "x": [f"{step:,}" for step in steps],
        "y": [pruned[step] for step in steps],
        "marker": {"color": series(0)},
        "hoverinfo": "text",
        "hovertext": [f"{counted(pruned[s], 'run')} ended after {s:,} steps" for s in steps],
        "width": 0.5,
    }
    x: Figure = {"title": {"text": "steps trained"}, "type": "category", "showgrid": False}
    y: Figure = {"title": {"text": "runs ended"}, "rangemode": "tozero", "nticks": 5}
    return {"data": [trace], "layout": layout(height=260, x=x, y=y)}


def _curves(
    runs: pd.DataFrame, *, name: str, colour: str, width: float, dash: str = "solid"
) -> Figure:
    """The lines of several runs as one trace with gaps: a thousand traces would be slow."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for run in runs.to_dict("records"):
        pairs = list(zip(run["steps"], run["scores"], strict=True))
        xs += [*(step for step, _ in pairs), None]
        ys += [*(score for _, score in pairs), None]
        texts += [*(_words(run, step, score) for step, score in pairs), ""]
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


def _ended(runs: pd.DataFrame, state: str, *, width: float) -> list[Figure]:
    """Dotted lines with a mark at their ends."""
    lines = _curves(runs, name=state, colour="@muted", width=width, dash="dot")
    lines |= {"legendgroup": state, "opacity": 0.6}
    ends = [(run["steps"][-1], run["scores"][-1], run) for run in runs.to_dict("records")]
    marks = _marks(
        [(step, score, f"{state}: {_words(run, step, score)}") for step, score, run in ends],
        symbol=_ENDS[state],
    )
    return [lines, marks | {"legendgroup": state, "showlegend": False}]


def _audited(runs: pd.DataFrame) -> Figure:
    """Where audited runs would have been ended."""
    found = []
    for run in runs.to_dict("records"):
        score = dict(zip(run["steps"], run["scores"], strict=True)).get(int(run["audited_step"]))
        if score is not None:
            step = int(run["audited_step"])
            found.append(
                (step, score, f"to be pruned here, trained on: {_words(run, step, score)}")
            )
    return _marks(found, symbol="diamond-open") | {"name": "audited"}


def _marks(found: list[tuple[int, float, str]], *, symbol: str) -> Figure:
    steps, scores, texts = zip(*found, strict=True) if found else ((), (), ())
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(steps),
        "y": list(scores),
        "hoverinfo": "text",
        "hovertext": list(texts),
        "marker": {"color": "@ink", "size": 8, "symbol": symbol, "line": {"width": 1.6}},
    }


def _words(run: Mapping[Any, Any], step: int, score: float) -> str:
    return f"<b>{score:.4f}</b> at step {step}<br>{escape(str(run['label']))}<br>seed {run['seed']}"
