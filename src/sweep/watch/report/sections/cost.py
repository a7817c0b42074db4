"""Score against cost, and the plan against what was measured."""

from __future__ import annotations

import pandas as pd

from sweep.watch.report.figures.cost import cost_plot, pareto_front, planned_plot
from sweep.watch.report.sections.parts import Plot, Section
from sweep.watch.report.study import Study
from sweep.watch.report.words import duration

_COSTS = {"lora_params": "LoRA parameters", "train_seconds": "Training seconds per run"}
_MAX_NAMED = 5


def cost(study: Study) -> Section | None:
    configs = study.configs
    known = [column for column in _COSTS if configs[column].notna().any()]
    if not known:
        return None
    plots = tuple(Plot(_COSTS[c], {_COSTS[c]: cost_plot(configs, c, _COSTS[c])}) for c in known)
    note = (
        "Up and left is better: a higher score for less. The dashed line is the Pareto front: "
        "nothing left of it scores as high."
    )
    sentences = _front_sentences(configs) if "lora_params" in known else ()
    return Section("cost", "Score against cost", sentences=sentences, note=note, plots=plots)


def plan(study: Study) -> Section | None:
    """What `mode=plan` foretold, beside what came."""
    if not study.plan or not study.plan.get("configs") or study.configs.empty:
        return None
    foretold = pd.DataFrame(study.plan["configs"]).set_index("config_id")
    measured = study.configs.assign(
        seconds=study.configs["train_seconds"],
        peak_memory_mb=study.configs["config_id"].map(_peaks(study.table)),
    )
    units = {"seconds": ("Seconds per run", "s"), "peak_memory_mb": ("Peak memory", "MB")}
    plots, sentences = [], []
    for column, (title, unit) in units.items():
        rows = _beside(foretold, measured, column)
        if rows.empty:
            continue
        plots.append(Plot(title, {"": planned_plot(rows, unit)}))
        ratio = (rows["measured"] / rows["planned"]).median()
        sentences.append(
            f"{title}: measured {ratio:.2f} times the plan in the middle of {len(rows)} configs."
        )
    if not plots:
        return None
    sentences += _total(study)
    note = "On the line the plan was right; above it, more came than was planned."
    parts = tuple(sentences), note
    title = "Plan and measurement"
    return Section("plan", title, sentences=parts[0], note=parts[1], plots=tuple(plots))


def _front_sentences(configs: pd.DataFrame) -> tuple[str, ...]:
    front = pareto_front(configs, "lora_params").to_dict("records")
    if len(front) < 2:
        return ()
    named = "; ".join(
        f"{row['label']} ({row['lora_params']:,} parameters, {row['mean']:.4f})"
        for row in front[-_MAX_NAMED:]
    )
    more = " The last of them" if len(front) > _MAX_NAMED else " They are"
    return (f"{len(front)} configs lie on the front of score and LoRA parameters.{more}: {named}.",)


def _beside(foretold: pd.DataFrame, measured: pd.DataFrame, column: str) -> pd.DataFrame:
    if column not in foretold:
        return pd.DataFrame()
    rows = measured.assign(
        planned=measured["config_id"].map(foretold[column]), measured=measured[column]
    )
    return rows[(rows["planned"] > 0) & rows["measured"].notna()].astype(
        {"planned": float, "measured": float}
    )


def _peaks(table: pd.DataFrame) -> pd.Series[float]:
    if "peak_memory_mb" not in table:
        return pd.Series(dtype=float)
    return table.groupby("config_id")["peak_memory_mb"].max()


def _total(study: Study) -> list[str]:
    """Planned wall time beside the sum of the runs' times over the workers."""
    assert study.plan is not None
    planned, workers = study.plan.get("seconds"), study.plan.get("workers") or 1
    if not planned:
        return []
    trained = float(study.table["train_seconds"].sum()) / workers
    return [
        f"The whole sweep: {duration(planned)} planned with {workers} "
        f"worker{'s' * (workers != 1)}, {duration(trained)} of training each."
    ]
