"""Ranks compared at their own best learning rates."""

from __future__ import annotations

from sweep.core.words import score_range
from sweep.stats.own_rates import BestRate
from sweep.stats.own_rates_words import own_rates_words
from sweep.study.study import Study
from sweep.watch.report.figures import own_rates as figures
from sweep.watch.report.sections.parts import Plot, Section, Table

_HEADS = (
    ("alpha rule", False),
    ("r", True),
    ("configs", True),
    ("best learning rate", True),
    ("95 % interval", False),
    ("score there", True),
    ("95 % interval", False),
)


def own_rates(study: Study) -> Section | None:
    """Where rank and learning rate were both searched."""
    found = study.effects.own_rates
    if found is None:
        return None
    note = (
        "Score over the log of the learning rate has one shape for all ranks and alpha rules, and "
        "its own top and place for each (a shape-invariant model). Dashed: the rank law "
        "(arXiv:2602.06204, Corollary 4.4). Open marks lie at an end of the rates that were tried, "
        "or beyond."
    )
    title = "Ranks at their own best learning rates"
    sentences = own_rates_words(found)
    if not found.rates:
        return Section("own-rates", title, sentences=sentences)
    plots = (Plot("Best learning rate by rank", {"": figures.best_rates(found)}, wide=True),)
    table = Table(_HEADS, tuple(_row(best) for best in found.rates))
    return Section("own-rates", title, sentences=sentences, note=note, table=table, plots=plots)


def _row(best: BestRate) -> tuple[str, ...]:
    rate, score = best.rate, best.score
    return (
        best.rule,
        best.rank,
        str(best.num_configs),
        f"{rate.value:.2g}",
        f"{rate.ci_low:.2g} to {rate.ci_high:.2g}",
        f"{score.value:.4f}",
        score_range(score.ci_low, score.ci_high),
    )
