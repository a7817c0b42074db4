"""The runs: their curves, what pruning did to them, why some failed."""

from __future__ import annotations

from sweep.core.words import counted, settings_text
from sweep.loop.pruning import PruningAudit
from sweep.loop.trial import RunState
from sweep.study.record import Record
from sweep.study.rows import searched
from sweep.study.study import Study
from sweep.watch.report.figures.curves import MAX_CURVES, Curve, learning_curves, stops
from sweep.watch.report.sections.parts import Plot, Section

_MAX_FAILURES = 100


def curves(study: Study) -> Section | None:
    evaluated = [r for r in study.records if r.outcome is not None and r.evaluations]
    if not evaluated:
        return None
    best_first = sorted(evaluated, key=_score, reverse=True)[:MAX_CURVES]
    runs = [_curve(record, study) for record in best_first]
    rows = study.leaderboard
    best = rows[0].config_id if rows else None
    factor = study.factors[0] if study.factors else None
    ids = [row.config_id for row in rows]
    level_of = dict(zip(ids, factor.of_config, strict=True)) if factor else {}
    plot = Plot(
        f"Dev {study.metric.word} by step", {"": learning_curves(runs, factor, level_of, best)}
    )
    shown = f" The best {len(runs)} of {len(evaluated):,} runs."
    pruned = study.num_in_state[RunState.PRUNED]
    crosses = " Dotted with a cross: ended by pruning." if pruned else ""
    note = f"A line per run.{shown if len(runs) < len(evaluated) else ''}{crosses}"
    return Section("curves", "Learning curves", note=note, plots=(plot,))


def pruning(study: Study) -> Section | None:
    audit = study.pruning
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
    failed = [row for row in study.runs if row.state is RunState.FAILED]
    if not failed:
        return None
    return Section(
        "failures", "Failures", facts={"rows": failed[:_MAX_FAILURES], "all": len(failed)}
    )


def _score(record: Record) -> float:
    score = record.outcome.score if record.outcome else None
    return float("-inf") if score is None else score


def _curve(record: Record, study: Study) -> Curve:
    recipe, outcome = record.run.recipe, record.outcome
    return Curve(
        recipe.config_id,
        settings_text(searched(recipe, study.keys)),
        recipe.seed,
        record.state,
        record.evaluations,
        outcome.audited_step if outcome else None,
        outcome.glimpses if outcome else (),
    )


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
