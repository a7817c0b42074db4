"""What scoring pairs takes in each form of the export."""

from __future__ import annotations

from sweep.core.words import counted
from sweep.study.scoring_costs import HEADS
from sweep.study.study import Study
from sweep.watch.report.figures.scoring import rates_plot
from sweep.watch.report.sections.parts import Plot, Section, Table


def scoring(study: Study) -> Section | None:
    found = study.scoring_costs
    if found is None or not found.costs:
        return None
    table = Table(
        tuple((head, number > 0) for number, head in enumerate(HEADS)),
        tuple(cost.cells for cost in found.costs),
    )
    by_threads = found.on_threads.items()
    figures = {counted(number, "thread"): rates_plot(costs) for number, costs in by_threads}
    note = "Pairs of dev, in batches of like length; milliseconds and p95 are of one pair alone."
    return Section(
        "scoring",
        "What scoring takes",
        sentences=(found.sentence,),
        note=note,
        table=table,
        plots=(Plot("Pairs a second", figures),),
    )
