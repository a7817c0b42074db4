"""The runs: their curves, what pruning did to them, why some failed."""

from __future__ import annotations

import pandas as pd

from sweep.loop.pruning import Ended, PruningAudit, pruning_audit, whole_steps
from sweep.watch.report.figures.curves import MAX_CURVES, learning_curves, stops
from sweep.watch.report.sections.parts import Plot, Section
from sweep.watch.report.study import Study
from sweep.watch.report.words import counted

_MAX_FAILURES = 100


def curves(study: Study) -> Section | None:
    configs = study.configs
    rows = [
        {
            "config_id": record["run_id"].rpartition("-s")[0],
            "seed": record["recipe"]["seed"],
            "state": record["outcome"]["state"],
            "best": record["outcome"]["pearson"] or float("-inf"),
            "steps": [rung["step"] for rung in record["outcome"]["evaluations"]],
            "scores": [rung["pearson"] for rung in record["outcome"]["evaluations"]],
            "audited_step": record["outcome"].get("audited_step"),
        }
        for record in study.records
        if record["outcome"]["evaluations"]
    ]
    if not rows:
        return None
    runs = pd.DataFrame(rows).sort_values("best", ascending=False).head(MAX_CURVES)
    runs["label"] = runs["config_id"].map(study.labels).fillna("")
    best = None if configs.empty else str(configs["config_id"].iloc[0])
    factor = study.factors[0] if study.factors else None
    plot = Plot("Dev Pearson by step", {"": learning_curves(runs, factor, best)})
    shown = f" The best {len(runs)} of {len(rows):,} runs." if len(runs) < len(rows) else ""
    crosses = " Dotted with a cross: ended by pruning." if study.states["pruned"] else ""
    note = f"A line per run.{shown}{crosses}"
    return Section("curves", "Learning curves", note=note, plots=(plot,))


def pruning(study: Study) -> Section | None:
    ended = [
        Ended(
            record["run_id"].rpartition("-s")[0],
            record["outcome"].get("steps") or 0,
            record["outcome"]["state"] == "pruned",
            record["outcome"].get("audited_step") is not None,
            whole_steps(
                max_steps=record["recipe"]["trainer"]["max_steps"],
                epochs=record["recipe"]["trainer"]["num_train_epochs"],
                rungs=[(rung["step"], rung["epoch"]) for rung in record["outcome"]["evaluations"]],
            ),
        )
        for record in study.records
    ]
    audit = pruning_audit(ended, study.tied)
    if audit is None:
        return None
    plots = (Plot("Where runs were ended", {"": stops(audit.pruned_at)}),)
    return Section(
        "pruning",
        "What pruning saved, and what it cost",
        sentences=_audit_sentences(audit),
        plots=plots if len(audit.pruned_at) > 1 else (),
    )


def failures(study: Study) -> Section | None:
    failed = study.table[study.table["state"] == "failed"]
    if failed.empty:
        return None
    rows = failed.head(_MAX_FAILURES).to_dict("records")
    return Section("failures", "Failures", facts={"rows": rows, "all": len(failed)})


def _audit_sentences(audit: PruningAudit) -> tuple[str, ...]:
    share = "" if audit.saved is None else f", which saved {audit.saved:.0%} of the training steps"
    saved = f"{audit.pruned} of {counted(audit.runs, 'run')} were ended early{share}."
    if not audit.audited:
        return (saved, "No run was trained on to check on pruning, so its cost is not known.")
    lost = "none of them" if not audit.audited_best else f"{audit.audited_best} of them"
    were = (
        "1 run that was to be ended was"
        if audit.audited == 1
        else (f"{audit.audited} runs that were to be ended were")
    )
    return (saved, f"{were} trained on as a check: {lost} ended among the best.")
