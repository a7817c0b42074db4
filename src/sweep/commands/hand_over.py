"""`export`, and a sweep's end: the best adapter, verified, and scored on what was set aside."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from rich.console import Console

from sweep.core.commands import command, meant
from sweep.core.errors import ExportError, VerificationError
from sweep.core.recipe import Recipe
from sweep.core.words import counted
from sweep.execute.cores import physical_cores
from sweep.execute.fresh import in_fresh_process
from sweep.export.adapter import CardFacts, Export, export_run
from sweep.export.asymmetry import Asymmetry
from sweep.export.bring_back import bring_back
from sweep.export.cost import costs_of
from sweep.export.exported import moved
from sweep.export.formats import Format, scores_pairs
from sweep.export.onnx_model import refuse_without_onnx
from sweep.export.push import push
from sweep.export.rank_table import rank_line, update_rank_use
from sweep.export.scoring import Predictions, Trained, order_asymmetry, order_scoring, scored
from sweep.export.test_scores import FinalScoring
from sweep.export.verification import Verified, verify_on
from sweep.loop.trial import Run, RunState
from sweep.study.effects_files import read_effects
from sweep.study.final_scores import FinalScores, read_final_scores
from sweep.study.folder import versions
from sweep.study.record import Record
from sweep.study.study import Study
from sweep.study.tables import Results
from sweep.watch.report import build_report
from sweep.watch.terminal import busy


def export_from_study(
    folder: Path,
    *,
    run_id: str | None,
    to: Path | None,
    formats: tuple[Format, ...] = (),
    base: str | None = None,
    repo: str | None = None,
    retrain: bool = False,
) -> tuple[Path, Verified]:
    """Export the best run of a study, or the one named.

    Args:
        formats: Beside the adapter.
        base: Where the base model lies, if not where it was at the training.
        repo: On the Hub, where all of it is sent in the end.
        retrain: Train the run again where its adapter was let go.

    Raises:
        StudyError: the folder holds no study.
        ExportError: there is no such run, or none with a score.
    """
    if {"onnx", "int8"} & {*formats}:
        refuse_without_onnx()
    study = Study.open(folder)
    results = study.results()
    record = _named(results, run_id) if run_id is not None else _best(results)
    target = to or (results.files.export(record.run.id) if run_id else results.files.best)
    threads = len(physical_cores())
    if retrain:
        bring_back([record], results.files, threads=threads)
    known = study.settings.weights_of(record.run.recipe.model)
    there = moved(record.run.recipe, base, known=known) if base else None
    earlier = _EarlierFindings(results, record.run, there, threads)
    verified = _export(
        results, record, earlier, to=target, threads=threads, formats=formats, there=there
    )
    if repo is not None:
        push(target, repo)
    return target, verified


def hand_over(
    results: Results, console: Console, *, baseline_id: str, num_scorers: int
) -> list[str]:
    """Score what was set aside, export and verify the best adapter, and say where all that lies.

    Args:
        baseline_id: The config of the base settings, for the scores on what was set aside.
        num_scorers: Processes that may score pairs side by side.
    """
    files, best = results.files, _best(results)
    complete = [r.run for r in results.records() if r.state is RunState.COMPLETE]
    final = FinalScoring(results.folder, best.run, complete, baseline_id=baseline_id)
    again = _brought_back(results, [best.run, *final.runs], console)
    ranks = rank_line(update_rank_use(results.folder, complete))
    verified, scores = _verified_beside_scoring(results, best, final, num_scorers, console)
    # With what was found out since the last run had finished.
    build_report(results.folder)
    return [
        *again,
        *ranks,
        "",
        f"table    {files.table} ({len(complete)} complete runs)",
        f"report   {files.report}",
        f"best     {files.best}: dev {verified.metric} {verified.reloaded:.4f}, "
        "reloaded and verified",
        *(scores.lines(results.metric) if scores else []),
        f"next     {command('predict', files.best, 'pairs.csv')}",
    ]


def _brought_back(results: Results, wanted: Sequence[Run], console: Console) -> list[str]:
    """Adapters that were let go before the ranking asked for them, trained again."""
    ids = {run.id for run in wanted}
    records = [record for record in results.records() if record.run.id in ids]
    if all(results.files.run(record.run.id).has_adapter for record in records):
        return []
    with busy(console, "Training again what the export needs and was let go ..."):
        again = bring_back(records, results.files, threads=len(physical_cores()))
    return [f"again    {counted(len(again), 'adapter')} trained again that had been let go"]


def _verified_beside_scoring(
    results: Results, best: Record, final: FinalScoring, num_scorers: int, console: Console
) -> tuple[Verified, FinalScores | None]:
    """The export is verified in one process while others score: both take a while."""
    trained = Trained.of(best.run, results.folder)
    wanted = [*order_scoring(trained), *final.wanted]
    processes = min(num_scorers, sum(len(scoring.adapters) for scoring in wanted))
    # The verification is one more: thread pools that share their cores wait for one another.
    threads = max(1, len(physical_cores()) // (processes + 1))
    doing = "Verifying the best adapter in a fresh process"
    if final.wanted:
        doing += ", and scoring what was set aside"
    with busy(console, f"{doing} ..."), ThreadPoolExecutor(1) as pool:
        scoring = pool.submit(scored, wanted, processes=processes, threads=threads)
        found = _Findings(trained, final, scoring, results)
        to = results.files.best
        verified = _export(results, best, found, to=to, threads=threads)
        return verified, found.final_scores


@dataclass(frozen=True)
class _Findings:
    """What is scored at the end of a sweep, once its predictions are there."""

    trained: Trained
    final: FinalScoring
    scoring: Future[Predictions]
    results: Results

    @cached_property
    def final_scores(self) -> FinalScores | None:
        return self.final.scores(self.scoring.result())

    def for_card(self) -> CardFacts:
        asymmetry = order_asymmetry(self.trained, self.scoring.result())
        return _facts(self.results, self.trained.run, asymmetry, self.final_scores)


@dataclass(frozen=True)
class _EarlierFindings:
    """The same for an export on its own: test pairs are not scored for it once more."""

    results: Results
    run: Run
    moved: Recipe | None
    threads: int

    def for_card(self) -> CardFacts:
        trained = Trained.of(self.run, self.results.folder)
        if self.moved is not None:
            trained = replace(trained, run=replace(self.run, recipe=self.moved))
        predictions = scored(order_scoring(trained), processes=1, threads=self.threads)
        final = read_final_scores(self.results.files, self.results.metric)
        known = final if final and final.run_id == self.run.id else None
        return _facts(self.results, self.run, order_asymmetry(trained, predictions), known)


def _facts(
    results: Results, run: Run, asymmetry: Asymmetry | None, final: FinalScores | None
) -> CardFacts:
    """With sentences on what the settings did, on the pairs, and on what the base scores without
    this adapter."""
    study, baselines = Study.open(results.folder), results.baselines()
    is_beside = baselines is not None and baselines.config_id == run.recipe.config_id
    return CardFacts(
        asymmetry,
        final,
        effects=read_effects(results.files).sentences,
        guard=tuple(study.guard.sentences) if study.guard else (),
        baselines=baselines.sentences if baselines and is_beside else (),
        fingerprints=study.settings.of_pairs(run.recipe.data),
    )


def _export(
    results: Results,
    record: Record,
    findings: _Findings | _EarlierFindings,
    *,
    to: Path,
    threads: int,
    formats: tuple[Format, ...] = (),
    there: Recipe | None = None,
) -> Verified:
    assert record.outcome is not None
    export = Export(
        record.run,
        record.outcome,
        study=results.folder.name,
        kept=results.files.run(record.run.id),
        to=to,
        versions=versions(),
        formats=formats,
        moved=there,
    )
    verifier = partial(_verify_in_fresh_process, threads=threads)
    costs = (
        partial(costs_of, threads=(1,), seconds=0.5)
        if formats and scores_pairs(record.run.recipe)
        else _no_costs
    )
    return export_run(export, verifier=verifier, findings=findings.for_card, costs=costs)


def _no_costs(folder: Path) -> None:
    """Of the adapter alone they are those of the base."""


def _verify_in_fresh_process(folder: Path, *, threads: int) -> Verified:
    """Reload as a user would: nothing of this process may help."""
    try:
        return in_fresh_process(verify_on, folder.resolve(), threads)
    except ChildProcessError as death:
        raise VerificationError(f"The process that verifies the export died: {death}") from None


def _best(results: Results) -> Record:
    best = results.best_run()
    if best is None:
        raise ExportError("A study needs a finished run to export.", value=str(results.folder))
    return next(record for record in results.records() if record.run.id == best.id)


def _named(results: Results, run_id: str) -> Record:
    """The complete run with this id, or with one that begins so."""
    records = {record.run.id: record for record in results.records()}
    found = [records[name] for name in meant(run_id, records)]
    if len(found) != 1:
        examples = ", ".join(list(records)[:3])
        raise ExportError(
            "`--run` must be the id of one run, or the beginning of one.",
            value=f"`{run_id}` fits {len(found)} runs",
            way_out=f"for example {examples}; all are in {results.files.table.name}",
        )
    if found[0].outcome is None or found[0].state is not RunState.COMPLETE:
        raise ExportError("Only a complete run can be exported.", value=f"{found[0].run.id}")
    return found[0]
