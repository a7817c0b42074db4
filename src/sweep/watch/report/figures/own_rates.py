"""The best learning rate of each rank, and what the rank law expects."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sweep.stats.own_rates import BestRate, OwnRates, RateSlope
from sweep.watch.report.figures.parts import SYMBOLS, Figure, layout, line, series, whiskers


def best_rates(found: OwnRates) -> Figure:
    """Best learning rate over rank on log scales, a colour for each alpha rule; the dashed lines
    have the slope of the rank law. Open marks lie at an end of the rates that were tried."""
    rules = list(dict.fromkeys(best.rule for best in found.rates))
    traces: list[Figure] = []
    for number, rule in enumerate(rules):
        own = [best for best in found.rates if best.rule == rule]
        slope = next((s for s in found.slopes if s.rule == rule), None)
        traces.append(_marks(own, number))
        if slope is not None:
            traces.append(_law(own, slope, number))
    x: Figure = {"title": {"text": "rank r"}, "type": "log", "tickformat": "~g"}
    x["tickvals"] = sorted({best.r for best in found.rates})
    y = {"title": {"text": "best learning rate"}, "type": "log", "tickformat": "~g"}
    return {"data": traces, "layout": layout(height=380, x=x, y=y, legend="")}


def _marks(own: Sequence[BestRate], number: int) -> Figure:
    colour = series(number)
    symbol = SYMBOLS[number % len(SYMBOLS)]
    ends = [_shown(best) for best in own]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escape(own[0].rule),
        # A little apart, so that rules do not hide each other.
        "x": [best.r * 1.04**number for best in own],
        "y": [best.rate.value for best in own],
        "error_y": whiskers(ends, colour),
        "hoverinfo": "text",
        "hovertext": [_hover(best) for best in own],
        "marker": {
            "color": colour,
            "symbol": [f"{symbol}-open" if best.at_end else symbol for best in own],
            "size": 10,
            "line": {"width": 1.6, "color": colour},
        },
    }


def _law(own: Sequence[BestRate], slope: RateSlope, number: int) -> Figure:
    """The law's line, as high as the best rates are on the whole."""
    middle = 1.0
    for best in own:
        middle *= (best.rate.value / best.r**slope.law) ** (1 / len(own))
    ranks = [slope.low_rank, slope.high_rank]
    rates = [middle * rank**slope.law for rank in ranks]
    trace = line(ranks, rates, width=1.4, colour=series(number))
    trace["line"] |= {"dash": "dash"}
    return trace | {"hoverinfo": "skip"}


def _shown(best: BestRate) -> tuple[float, float, float]:
    """Whiskers of a decade at most to either side."""
    rate = best.rate
    return rate.value, max(rate.ci_low, rate.value / 10), min(rate.ci_high, rate.value * 10)


def _hover(best: BestRate) -> str:
    rate, score = best.rate, best.score
    return (
        f"<b>{rate.value:.2g}</b> [{rate.ci_low:.2g}, {rate.ci_high:.2g}]<br>"
        f"{escape(best.rule)}, r {escape(best.rank)}: {score.value:.4f} there "
        f"[{score.ci_low:.4f}, {score.ci_high:.4f}]<br>{best.num_configs} configs"
    )
