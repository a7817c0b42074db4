"""Starting a sweep: run the loop, sum up, export."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from sweep.budget.estimate import MemoryLimit, memory_limit
from sweep.budget.plan_file import compare_with_plan
from sweep.budget.workers import num_scorers
from sweep.commands.build import (
    new_results,
    recorded,
    search_of,
    stored_results,
    sweep_of,
    watchers_of,
)
from sweep.commands.closing_words import (
    failure_lines,
    folded_lines,
    halted_lines,
    left_out_lines,
    pruning_lines,
    recommended_lines,
    used_up_lines,
    verdict_lines,
)
from sweep.commands.signals import Halt
from sweep.config.compose import default_settings
from sweep.config.preflight import preflight, with_settled_precision
from sweep.config.schema import Settings
from sweep.core.commands import command, meant
from sweep.core.errors import ExportError, Interrupted, VerificationError
from sweep.execute.cores import physical_cores
from sweep.execute.fresh import in_fresh_process
from sweep.export.adapter import CardFacts, Verified, export_run, verify_on
from sweep.export.rank_table import rank_line, write_rank_use
from sweep.export.scoring import Trained, order_asymmetry, order_scoring, scored
from sweep.export.test_scores import FinalScores, FinalScoring, stored_scores
from sweep.loop.trial import RunState
from sweep.search.study_db import database_trouble_told
from sweep.study.effects_files import matters_line, write_findings
from sweep.study.folder import locked, open_folder, versions
from sweep.study.record import Record
from sweep.study.tables import Results
from sweep.watch.console import ranked_table
from sweep.watch.pareto import pareto_table
from sweep.watch.report import build_report
from sweep.watch.wandb_setup import resolve_mode

EXIT_DONE, EXIT_SOME_FAILED, EXIT_NONE_FINISHED = 0, 3, 4


def run_sweep(settings: Settings, *, console: Console, command: str) -> int:
    """Train what is missing, export the best, print the ranking; returns the exit code.

    Args:
        command: The command line that goes on after an interruption.
    """
    # Asked first: a refusal should come before anything is loaded.
    mode, line = resolve_mode(settings.tracking.mode)
    with console.status("Checking model, data and every config ..."):
        settings = with_settled_precision(settings)
        checks = preflight(settings)
    limit = _measured_limit(settings, console)
    with locked(settings.folder):
        open_folder(
            settings.folder,
            {**recorded(settings), "fingerprints": checks.fingerprints},
            resume=settings.resume,
            defaults=default_settings(),
        )
        recipes = [recipe for _, recipe in settings.configs()] if limit else []
        facts = [*checks.facts, *([limit.in_words(recipes)] if limit else [])]
        _say(console, f"study  {settings.folder}", *facts, *([line] if line else []))
        results = new_results(settings, checks)
        watchers = watchers_of(
            settings, results, console, mode=mode, say=lambda line: _say(console, line)
        )
        try:
            trouble_told = database_trouble_told(settings.folder / "study.db")
            with trouble_told, _halt(settings, console) as halt:
                search = search_of(settings, limit)
                sweep = sweep_of(settings, search, results, watchers, halt)
                sweep.run()
                # A wandb address may have come in after the records were closed.
                results.write_tables()
            halt.raise_if_interrupted()
            left = []
            if halt.timed_out:
                left = halted_lines(
                    results.records(),
                    sweep.num_runs,
                    command,
                    owes_confirmation=sweep.owes_confirmation,
                )
            _say(
                console,
                *folded_lines(sweep.folded),
                *left_out_lines(search.infeasible, settings),
                *used_up_lines(search.is_used_up, settings),
                *left,
            )
            return _sum_up(settings, results, console)
        except Interrupted:
            _say(console, "Stopped. Finished runs are kept; to go on:", f"  {command}")
            raise


def export_from_study(
    folder: Path, *, run_id: str | None, to: Path | None, merge: bool
) -> tuple[Path, Verified]:
    """Export the best run of a study, or the one named.

    Raises:
        StudyError: the folder holds no study.
        ExportError: there is no such run, or none with a score.
    """
    results = stored_results(folder)
    record = _pick(results, run_id)
    target = to or (folder / "best" if run_id is None else folder / "export" / record.run.id)
    return target, _export_record(record, folder, to=target, merge=merge)


def rebuild_report(folder: Path) -> Path:
    """Rebuild tables and report of a study from its records.

    Raises:
        StudyError: the folder holds no study.
    """
    results = stored_results(folder)
    results.write_tables()
    write_findings(results.search_board(), folder, keys=results.keys)
    return build_report(folder)


def _measured_limit(settings: Settings, console: Console) -> MemoryLimit | None:
    if settings.executor.max_memory_gb is None:
        return None
    with console.status("Measuring the memory of a cheap and of an expensive config ..."):
        return memory_limit(settings)


def _halt(settings: Settings, console: Console) -> Halt:
    return Halt(timeout_min=settings.search.timeout_min, say=lambda line: _say(console, line))


def _pick(results: Results, run_id: str | None) -> Record:
    records = {record.run.id: record for record in results.records()}
    if run_id is None:
        best = results.best_run()
        if best is None:
            raise ExportError("A study needs a finished run to export.", value=str(results.folder))
        return records[best.id]
    found = [records[name] for name in meant(run_id, records)]
    if len(found) != 1:
        raise ExportError(
            "`--run` must be the id of one run, or the beginning of one.",
            value=f"`{run_id}` fits {len(found)} runs",
            way_out=f"for example {', '.join(list(records)[:3])}; all are in table.csv",
        )
    if found[0].outcome is None or found[0].outcome.state is not RunState.COMPLETE:
        raise ExportError("Only a complete run can be exported.", value=f"{found[0].run.id}")
    return found[0]


def _export_record(record: Record, folder: Path, *, to: Path, merge: bool) -> Verified:
    final = stored_scores(folder)
    known = final.to_json() if final and final.run_id == record.run.id else None
    threads = len(physical_cores())

    trained = Trained.of(record.run, folder)

    def findings() -> CardFacts:
        predictions = scored([order_scoring(trained)], processes=1, threads=threads)
        return CardFacts(order_asymmetry(trained, predictions), known)

    return _export(record, folder, to=to, merge=merge, threads=threads, findings=findings)


def _export(
    record: Record,
    folder: Path,
    *,
    to: Path,
    merge: bool,
    threads: int,
    findings: Callable[[], CardFacts],
) -> Verified:
    assert record.outcome is not None
    return export_run(
        record.run,
        record.outcome,
        study=folder.name,
        run_dir=folder / "runs" / record.run.id,
        to=to,
        merge=merge,
        versions=versions(),
        verifier=partial(_verify_in_fresh_process, threads=threads),
        findings=findings,
    )


def _verify_in_fresh_process(folder: Path, *, threads: int) -> Verified:
    """Reload as a user would: nothing of this process may help."""
    try:
        return in_fresh_process(verify_on, folder.resolve(), threads)
    except ChildProcessError as death:
        raise VerificationError(f"The process that verifies the export died: {death}") from None


def _sum_up(settings: Settings, results: Results, console: Console) -> int:
    """Ranking, failures, verdict, export, where everything lies, the next command."""
    folder = settings.folder
    failed = [r for r in results.records() if r.state is RunState.FAILED]
    board = results.leaderboard()
    if not board.empty:
        _show_ranking(settings, board, console)
    _say(console, *failure_lines(failed))
    if board.empty:
        _say(console, "No run finished.", f"logs: {folder / 'logs'}")
        return EXIT_NONE_FINISHED
    _say(console, *_verdict(settings, results, board), wrap=True)
    _say(console, *recommended_lines(results, folder))
    _say(console, *_handed_over(settings, results, console))
    return EXIT_SOME_FAILED if failed else EXIT_DONE


def _show_ranking(settings: Settings, board: pd.DataFrame, console: Console) -> None:
    keys = list(settings.space.keys)
    console.print()
    console.print(ranked_table(board.to_dict("records"), keys=keys))
    if "pareto" in board:
        _say(console, "", "Pareto front: nothing else is as good in every objective")
        front = board[board["pareto"]].to_dict("records")
        names = [objective.name for objective in settings.objectives]
        console.print(pareto_table(front, objectives=names, keys=keys))


def _verdict(settings: Settings, results: Results, board: pd.DataFrame) -> list[str]:
    """Which config to use, what matters, and what the search's short cuts cost."""
    effects = write_findings(results.search_board(), settings.folder, keys=settings.space.keys)
    return [
        *verdict_lines(results),
        *matters_line(effects),
        *pruning_lines(results.records(), board),
        *compare_with_plan(settings.folder, results.records()),
    ]


def _handed_over(settings: Settings, results: Results, console: Console) -> list[str]:
    """Score what was set aside, export and verify the best adapter, and say where all that lies."""
    folder, picked = settings.folder, _pick(results, None)
    complete = [r.run for r in results.records() if r.state is RunState.COMPLETE]
    ranks = rank_line(write_rank_use(folder, complete))
    trained = Trained.of(picked.run, folder)
    base = settings.recipe(picked.run.recipe.seed).config_id
    final = FinalScoring(folder, picked.run, complete, baseline_id=base)
    wanted = [order_scoring(trained), *final.wanted]
    processes = min(num_scorers(settings), sum(len(scoring.adapters) for scoring in wanted))
    # The verification is one more: thread pools that share their cores wait for one another.
    threads = max(1, len(physical_cores()) // (processes + 1))
    doing = "Verifying the best adapter in a fresh process"
    if final.wanted:
        doing += ", and scoring what was set aside"
    with console.status(f"{doing} ..."), ThreadPoolExecutor(1) as pool:
        scoring = pool.submit(scored, wanted, processes=processes, threads=threads)

        @cache
        def final_scores() -> FinalScores | None:
            return final.scores(scoring.result())

        def findings() -> CardFacts:
            order, found = order_asymmetry(trained, scoring.result()), final_scores()
            return CardFacts(order, found.to_json() if found else None)

        verified = _export(
            picked, folder, to=folder / "best", merge=False, threads=threads, findings=findings
        )
        found = final_scores()
    # With what was found out since the last run had finished.
    build_report(folder)
    return [
        *ranks,
        "",
        f"table    {folder / 'table.csv'} ({len(complete)} complete runs)",
        f"report   {folder / 'report.html'}",
        f"best     {folder / 'best'}: dev Pearson {verified.reloaded:.4f}, reloaded and verified",
        *(found.lines if found else []),
        f"next     {command('predict', folder / 'best', 'pairs.csv')}",
    ]


def _say(console: Console, *lines: str, wrap: bool = False) -> None:
    """Print lines; sentences may `wrap` at words on a terminal, paths and commands stay whole."""
    for line in lines:
        console.print(Text(line), soft_wrap=not (wrap and console.is_terminal))
