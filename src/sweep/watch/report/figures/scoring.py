"""Pairs a second of each form of an export."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.study.scoring_costs import Cost
from sweep.watch.report.figures.parts import Figure, bars, layout


def rates_plot(costs: Sequence[Cost]) -> Figure:
    """A bar for each form."""
    trace = bars(
        [cost.called for cost in costs],
        [cost.pairs_per_second for cost in costs],
        texts=[f"{cost.called}: {cost.pairs_per_second:,.0f} pairs a second" for cost in costs],
        colour="@series0",
    )
    x = {"title": {"text": "pairs a second"}, "rangemode": "tozero"}
    return {"data": [trace], "layout": layout(height=60 + 34 * len(costs), x=x, y={})}
