"""Score against cost, and the plan against what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.core.words import counted, duration
from sweep.study.plan import Compared, middle_ratio
from sweep.study.rows import ConfigRow, cost_front
from sweep.study.study import Study
from sweep.watch.report.figures.cost import cost_plot, planned_plot
from sweep.watch.report.figures.parts import hover
from sweep.watch.report.sections.parts import Plot, Section

_COSTS = {"lora_params": "LoRA parameters", "train_seconds": "Training seconds per run"}
_MAX_NAMED = 5


def cost(study: Study) -> Section | None:
    rows = study.leaderboard
    known = [name for name in _COSTS if any(row.measure(name) is not None for row in rows)]
    if not known:
        return None
    plots = tuple(Plot(_COSTS[c], {_COSTS[c]: cost_plot(rows, c, _COSTS[c])}) for c in known)
    note = (
        "Up and left is better: a higher score for less. The dashed line is the Pareto front: "
        "nothing left of it scores as high."
    )
    sentences = _front_sentences(rows) if "lora_params" in known else ()
    return Section("cost", "Score against cost", sentences=sentences, note=note, plots=plots)


def plan(study: Study) -> Section | None:
    """What `mode=plan` foretold, beside what came."""
    if study.plan is None or not study.leaderboard:
        return None
    found = study.plan.with_measured(study.records)
    plots, sentences = [], []
    for title, unit, compared in (
        ("Seconds per run", "s", found.compared_seconds),
        ("Peak memory", "MB", found.compared_memory),
    ):
        if not compared:
            continue
        plots.append(Plot(title, {"": planned_plot(compared, _hovers(study, compared), unit)}))
        sentences.append(
            f"{title}: measured {middle_ratio(compared):.2f} times the plan in the middle of "
            f"{counted(len(compared), 'config')}."
        )
    if not plots:
        return None
    if found.seconds:
        sentences.append(
            f"The whole sweep: {duration(found.seconds)} planned with "
            f"{counted(found.workers, 'worker')}, "
            f"{duration(found.worker_seconds(study.records))} of training each."
        )
    note = "On the line the plan was right; above it, more came than was planned."
    title = "Plan and measurement"
    return Section("plan", title, sentences=tuple(sentences), note=note, plots=tuple(plots))


def _front_sentences(rows: Sequence[ConfigRow]) -> tuple[str, ...]:
    front = cost_front(rows, "lora_params")
    if len(front) < 2:
        return ()
    named = "; ".join(
        f"{row.words} ({row.lora_params:,} parameters, {row.mean:.4f})"
        for row in front[-_MAX_NAMED:]
    )
    more = " The last of them" if len(front) > _MAX_NAMED else " They are"
    return (f"{len(front)} configs lie on the front of score and LoRA parameters.{more}: {named}.",)


def _hovers(study: Study, compared: Sequence[Compared]) -> list[str]:
    rows = {row.config_id: row for row in study.leaderboard}
    return [hover(rows[one.config_id]) if one.config_id in rows else "" for one in compared]
