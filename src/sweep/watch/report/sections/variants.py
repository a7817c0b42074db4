"""LoRA and its relatives: what a budget of draws gives with each, and the fresh seeds' answer."""

from __future__ import annotations

from sweep.core.words import score_range
from sweep.stats.best_of import Drawn
from sweep.study.rows import ConfigRow
from sweep.study.study import Study
from sweep.study.variants import variant_words
from sweep.watch.report.figures import variants as figures
from sweep.watch.report.sections.parts import Plot, Section, Table

_HEADS = (
    ("method", False),
    ("draws", True),
    ("expected best of 3", True),
    ("best of all", True),
    ("at learning rate", True),
    ("on fresh seeds", True),
    ("95 % interval", False),
    ("tied with the best", False),
)


def variants(study: Study) -> Section | None:
    """Where several methods were tried."""
    found = study.effects.variants
    if not found:
        return None
    note = (
        "The expected best of n configs drawn from the method's own, on the seeds of the search "
        "(arXiv:2004.13705): it favours no method that had more draws, but the search's luck is in "
        "it. The intervals of the fresh seeds hold for all methods at once."
    )
    fresh = _confirmed(study)
    return Section(
        "variants",
        "LoRA and its relatives",
        sentences=variant_words(found),
        note=note,
        table=Table(_HEADS, tuple(_row(one, fresh.get(one.name)) for one in found)),
        plots=(Plot("Expected best of n draws", {"": figures.best_of(found)}, wide=True),),
    )


def _confirmed(study: Study) -> dict[str, ConfigRow]:
    """The best config of each method that was trained on fresh seeds."""
    methods = {r.run.recipe.config_id: r.run.recipe.lora.variant for r in study.records}
    found: dict[str, ConfigRow] = {}
    for row in study.leaderboard:
        if row.confirmed and row.config_id in methods:
            found.setdefault(methods[row.config_id], row)
    return found


def _row(one: Drawn, fresh: ConfigRow | None) -> tuple[str, ...]:
    search = (
        one.name,
        str(one.num_configs),
        f"{one.expected(3):.4f}",
        f"{one.expected(one.num_configs):.4f}",
        f"{one.rate:.2g}",
    )
    if fresh is None:
        return (*search, "", "", "")
    known = fresh.ci_low is not None and fresh.ci_high is not None
    interval = score_range(fresh.ci_low or 0.0, fresh.ci_high or 0.0) if known else ""
    tied = "" if fresh.tied_with_best is None else "yes" if fresh.tied_with_best else "no"
    return (*search, f"{fresh.mean:.4f}", interval, tied)
