"""Starting a sweep: build every part, run the loop, export, sum up. Knows all rooms."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from sweep.config import Executor as ExecutorSettings
from sweep.config import Settings
from sweep.core.confirm import Confirmation
from sweep.core.errors import ExportError, Interrupted, VerificationError
from sweep.core.files import replacing_file, write_text
from sweep.core.orchestrator import Sweep
from sweep.core.ports import Executor, Watcher
from sweep.core.rules import Rules
from sweep.core.trial import RunState
from sweep.execute.cores import physical_cores
from sweep.execute.in_process import InProcess
from sweep.execute.processes import Processes, in_fresh_process
from sweep.export import Verified, export_run, verify_on
from sweep.findings import matters_line, write_findings
from sweep.forecast import compare_with_plan
from sweep.halt import Halt
from sweep.held_out import final_scores, stored_scores
from sweep.preflight import Preflight, preflight, with_settled_precision
from sweep.rank_table import rank_line, write_rank_use
from sweep.results import Record, Results
from sweep.search import OptunaSearch
from sweep.study import locked, open_folder, settings_of, versions
from sweep.summary import (
    failure_lines,
    folded_lines,
    halted_lines,
    pruning_lines,
    used_up_lines,
    verdict_lines,
)
from sweep.train.cost import relative_cost
from sweep.train.packable import pack_key
from sweep.train.runs import train_pack
from sweep.watch.console import ConsoleWatcher, ranked_table
from sweep.watch.pareto import pareto_table
from sweep.watch.report import ReportWatcher, build_report, study_media
from sweep.watch.wandb_log import WandbWatcher
from sweep.watch.wandb_setup import resolve_mode
from sweep.watch.wandb_values import StudyLog

#: Runs in a GPU's pack unless told otherwise; a pack that does not fit is halved.
_GPU_PACK = 32

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
    with locked(settings.folder):
        open_folder(
            settings.folder,
            {**_recorded(settings), "fingerprints": checks.fingerprints},
            resume=settings.resume,
        )
        _say(console, f"study  {settings.folder}", *checks.facts, *([line] if line else []))
        results = _results(settings, checks)
        watchers = _watchers(settings, results, console, mode)
        try:
            with _halt(settings, console) as halt:
                search = _search(settings)
                sweep = _sweep(settings, search, results, watchers, halt)
                sweep.run()
                # A wandb address may have come in after the records were closed.
                results.write_tables()
            halt.raise_if_interrupted()
        except Interrupted:
            _say(console, "Stopped. Finished runs are kept; to go on:", f"  {command}")
            raise
        left = halted_lines(results.records(), sweep.num_runs, command) if halt.timed_out else []
        _say(
            console, *folded_lines(sweep.folded), *used_up_lines(search.is_used_up, settings), *left
        )
        return _sum_up(settings, results, console)


def export_from_study(
    folder: Path, *, run_id: str | None, to: Path | None, merge: bool
) -> tuple[Path, Verified]:
    """Export the best run of a study, or the one named.

    Raises:
        StudyError: the folder holds no study.
        ExportError: there is no such run, or none with a score.
    """
    results = _results_of(folder)
    record = _pick(results, run_id)
    target = to or (folder / "best" if run_id is None else folder / "export" / record.run.id)
    return target, _export_record(record, folder, to=target, merge=merge)


def rebuild_report(folder: Path) -> Path:
    """Rebuild tables and report of a study from its records.

    Raises:
        StudyError: the folder holds no study.
    """
    results = _results_of(folder)
    results.write_tables()
    write_findings(results.search_board(), folder, keys=results.keys)
    return build_report(folder)


def _halt(settings: Settings, console: Console) -> Halt:
    return Halt(timeout_min=settings.search.timeout_min, say=lambda line: _say(console, line))


def _search(settings: Settings) -> OptunaSearch:
    return OptunaSearch(
        settings.folder / "study.db",
        name=settings.name,
        space=settings.space,
        sampler=settings.search.sampler,
        num_trials=settings.search.n_trials,
        seeds=settings.search.seeds,
        sampler_seed=settings.search.sampler_seed,
        pruner=settings.search.pruner,
        reduction=settings.search.reduction,
        objectives=settings.objectives,
        first=settings.first_points(),
        cost=lambda params: relative_cost(settings.expand(params, settings.search.seeds[0])),
    )


def _sweep(
    settings: Settings,
    search: OptunaSearch,
    results: Results,
    watchers: Sequence[Watcher],
    halt: Callable[[], bool],
) -> Sweep:
    runs = _num_runs(settings) or search.num_trials * len(settings.search.seeds)
    return Sweep(
        study=settings.name,
        search=search,
        executor=_executor(
            settings.executor,
            settings.folder,
            runs=runs,
            most=_largest_pack(settings),
        ),
        records=results,
        watchers=watchers,
        expand=settings.expand,
        pack_key=pack_key,
        rules=_rules(settings, runs=runs),
        halt=halt,
        num_runs=runs,
    )


def _rules(settings: Settings, *, runs: int) -> Rules:
    """How much every config is trained, in a search of so many runs."""
    search = settings.search
    return Rules(
        seeds=search.seeds,
        # The race is for the best score alone.
        race=search.race and len(settings.objectives) == 1,
        reduction=search.reduction if search.pruner == "halving" else None,
        audit=search.audit,
        objectives=settings.objectives,
        confirmation=confirmation_of(settings, runs=runs),
    )


def confirmation_of(settings: Settings, *, runs: int) -> Confirmation:
    """What follows a search of so many runs."""
    confirm = settings.confirm
    return Confirmation(
        top=confirm.top,
        seeds=confirm.seeds,
        baseline=settings.baseline_id,
        most=int(confirm.share * runs),
    )


def _num_runs(settings: Settings) -> int | None:
    """Distinct runs of a grid; what a sampler will draw is not known."""
    if settings.search.sampler != "grid":
        return None
    seeds = settings.search.seeds
    return len({settings.expand(p, s).run_id for p in settings.space.grid() for s in seeds})


def _executor(settings: ExecutorSettings, folder: Path, *, runs: int, most: int) -> Executor:
    """One worker per GPU with large packs; without one, a worker per core with packs of one.

    A small encoder leaves a GPU idle and keeps a core busy. A core is pinned only where all are
    taken: two sweeps that each take half of a machine would choose the same half.
    """
    import torch

    runs_dir = (folder / "runs").resolve()
    gpus, cores = torch.cuda.device_count(), physical_cores()
    pack_size = settings.pack_size or (_GPU_PACK if gpus else 1)
    pack_size = min(pack_size, most)
    if settings.kind == "in_process":
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        return InProcess(train_pack, runs_dir=runs_dir, pack_size=pack_size)
    asked = _asked_workers(settings)
    threads = _threads(settings)
    pinned = not gpus and threads == 1 and asked == len(cores) and hasattr(os, "sched_setaffinity")
    return Processes(
        train_pack,
        runs_dir=runs_dir,
        logs_dir=(folder / "logs").resolve(),
        workers=min(asked, runs),
        threads=threads,
        gpus=gpus,
        cores=cores if pinned else (),
        pack_size=pack_size,
    )


def _recorded(settings: Settings) -> dict[str, Any]:
    """What a study remembers of its settings."""
    content = dataclasses.asdict(settings)
    del content["mode"]
    # Whoever reads the study's folder compares with this config.
    return {**content, "baseline": settings.baseline_id}


def num_workers(settings: Settings) -> int:
    """Runs that train at the same time, packs apart."""
    return 1 if settings.executor.kind == "in_process" else _asked_workers(settings.executor)


def num_threads(settings: Settings) -> int:
    """Of torch's pool in each worker."""
    import torch

    if settings.executor.kind == "in_process":
        return settings.executor.threads or torch.get_num_threads()
    return _threads(settings.executor)


def _threads(settings: ExecutorSettings) -> int:
    return settings.threads or max(1, len(physical_cores()) // _asked_workers(settings))


def _asked_workers(settings: ExecutorSettings) -> int:
    import torch

    return settings.workers or torch.cuda.device_count() or len(physical_cores())


def _largest_pack(settings: Settings) -> int:
    """A sampler that learns must see scores before it has drawn everything."""
    search = settings.search
    learns = search.sampler in ("tpe", "gp", "cmaes", "nsga2")
    return max(1, search.n_trials // 4) if learns else 1_000_000


def _watchers(settings: Settings, results: Results, console: Console, mode: Any) -> list[Watcher]:
    watchers: list[Watcher] = [ConsoleWatcher(console), ReportWatcher(settings.folder)]
    if mode != "disabled":
        watchers.append(
            WandbWatcher(
                settings.folder,
                mode=mode,
                project=settings.tracking.project,
                entity=settings.tracking.entity,
                timeout_s=settings.tracking.timeout_s,
                searched_keys=settings.space.keys,
                read_study=lambda: StudyLog(results.table(), *study_media(settings.folder)),
                on_url=results.set_wandb_url,
                say=lambda line: _say(console, line),
            )
        )
    return watchers


def _results(settings: Settings, checks: Preflight) -> Results:
    with replacing_file(settings.folder / "dev_labels.npy") as path:
        np.save(path, checks.dev_labels)
    found = json.dumps(checks.guard.to_json(), indent=2, ensure_ascii=False)
    write_text(settings.folder / "guard.json", found)
    return Results(
        settings.folder,
        searched_keys=settings.space.keys,
        versions=versions(),
        objectives=settings.objectives,
        search_seeds=settings.search.seeds,
        baseline=settings.baseline_id,
    )


def _results_of(folder: Path) -> Results:
    """The records of a study that is not being driven."""
    from sweep.core.objectives import parse_objectives
    from sweep.core.recipe import SEARCHABLE_KEYS
    from sweep.core.space import parse_space

    content = settings_of(folder)
    space = parse_space(content["search"]["space"], valid_keys=SEARCHABLE_KEYS)
    objectives = parse_objectives(content["search"].get("objectives", ["pearson:max"]))
    return Results(
        folder,
        searched_keys=space.keys,
        versions=content["versions"],
        objectives=objectives,
        search_seeds=content["search"]["seeds"],
        baseline=content.get("baseline"),
    )


def _pick(results: Results, run_id: str | None) -> Record:
    records = {record.run.id: record for record in results.records()}
    if run_id is None:
        best = results.best_run()
        if best is None:
            raise ExportError("A study needs a finished run to export.", value=str(results.folder))
        return records[best.id]
    found = [record for name, record in records.items() if name.startswith(run_id)]
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
    assert record.outcome is not None
    final = stored_scores(folder)
    return export_run(
        record.run,
        record.outcome,
        study=folder.name,
        run_dir=folder / "runs" / record.run.id,
        to=to,
        merge=merge,
        versions=versions(),
        verifier=_verify_in_fresh_process,
        final_scores=final.to_json() if final and final.run_id == record.run.id else None,
    )


def _verify_in_fresh_process(folder: Path) -> Verified:
    """Reload as a user would: nothing of this process may help."""
    try:
        return in_fresh_process(verify_on, folder.resolve(), len(physical_cores()))
    except ChildProcessError as death:
        raise VerificationError(f"The process that verifies the export died: {death}") from None


def _sum_up(settings: Settings, results: Results, console: Console) -> int:
    """Ranking, failures, export, where everything lies, the next command."""
    folder = settings.folder
    board = results.leaderboard()
    states = [record.state for record in results.records()]
    failed = [r for r in results.records() if r.state is RunState.FAILED]
    if not board.empty:
        console.print()
        console.print(ranked_table(board.to_dict("records"), keys=list(settings.space.keys)))
    if "pareto" in board:
        _say(console, "", "Pareto front: nothing else is as good in every objective")
        front = board[board["pareto"]].to_dict("records")
        names = [objective.name for objective in settings.objectives]
        console.print(pareto_table(front, objectives=names, keys=list(settings.space.keys)))
    _say(console, *failure_lines(failed))
    if board.empty:
        _say(console, "No run finished.", f"logs: {folder / 'logs'}")
        return EXIT_NONE_FINISHED
    effects = write_findings(results.search_board(), folder, keys=settings.space.keys)
    _say(console, *verdict_lines(results, folder), *matters_line(effects))
    _say(console, *pruning_lines(results.records(), board))
    _say(console, *compare_with_plan(folder, results.records()))
    picked = _pick(results, None)
    complete = [r.run for r in results.records() if r.state is RunState.COMPLETE]
    _say(console, *rank_line(write_rank_use(folder, complete)))
    with console.status("Scoring test and held-out pairs, once ..."):
        final = final_scores(
            folder,
            picked.run,
            complete,
            baseline_id=settings.recipe(picked.run.recipe.seed).config_id,
        )
    with console.status("Verifying the best adapter in a fresh process ..."):
        verified = _export_record(picked, folder, to=folder / "best", merge=False)
    _say(
        console,
        "",
        f"table    {folder / 'table.csv'} ({states.count(RunState.COMPLETE)} complete runs)",
        f"report   {folder / 'report.html'}",
        f"best     {folder / 'best'}: dev Pearson {verified.reloaded:.4f}, reloaded and verified",
        *(final.lines if final else []),
        f"next     python -m sweep predict {folder / 'best'} pairs.csv",
    )
    return EXIT_SOME_FAILED if failed else EXIT_DONE


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)
