"""`run`: train what is missing, say what came of it, hand the best over. And `report`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sweep.budget.estimate import MemoryLimit, memory_limit
from sweep.budget.full_tuning import within_memory
from sweep.budget.workload import Workload
from sweep.commands.afar import refuse_without_engine
from sweep.commands.build import (
    new_results,
    recorded,
    search_of,
    sweep_of,
    watchers_of,
    workers_of,
)
from sweep.commands.closing_words import (
    encoder_lines,
    failure_lines,
    folded_lines,
    full_halted_lines,
    halted_lines,
    highest_mean_lines,
    left_out_lines,
    pruning_lines,
    ranking_lines,
    used_up_lines,
    verdict_lines,
)
from sweep.commands.full_tuning import full_plan, train_full
from sweep.commands.hand_over import hand_over
from sweep.commands.signals import Halt
from sweep.commands.trackers import resolved, tracker_of
from sweep.config.compose import default_settings
from sweep.config.full_tuning import FullTuning, full_tuning_of
from sweep.config.preflight import Preflight, preflight, settled
from sweep.config.schema import Settings
from sweep.core.errors import Interrupted
from sweep.execute.cores import physical_cores
from sweep.export.baselines import frozen_kinds, update_baselines
from sweep.loop.objectives import Objective
from sweep.loop.orchestrator import Sweep
from sweep.loop.trial import RunState
from sweep.search import OptunaSearch
from sweep.search.study_db import database_trouble_told
from sweep.study.baselines import Baselines
from sweep.study.effects_files import (
    answer_lines,
    matters_line,
    own_rates_lines,
    variant_lines,
    write_findings,
)
from sweep.study.folder import open_folder
from sweep.study.lock import locked
from sweep.study.plan import compare_with_plan
from sweep.study.rows import ConfigRow
from sweep.study.study import Study
from sweep.study.tables import Results
from sweep.watch.baseline_table import baseline_table
from sweep.watch.pareto import pareto_table
from sweep.watch.ranking_tables import ranked_groups
from sweep.watch.report import build_report
from sweep.watch.terminal import busy
from sweep.watch.tracking import TrackingWatcher
from sweep.watch.wandb_mode import Tracking

EXIT_DONE, EXIT_SOME_FAILED, EXIT_NONE_FINISHED = 0, 3, 4


def run_sweep(settings: Settings, *, console: Console, command: str) -> int:
    """Train what is missing, export the best, print the ranking; returns the exit code.

    Args:
        command: The command line that goes on after an interruption.
    """
    # Asked first: a refusal should come before anything is loaded.
    refuse_without_engine(settings.executor)
    mode, tracked = resolved(settings)
    with busy(console, "Checking model, data and every config ..."):
        settings = settled(settings)
        checks = preflight(settings)
        full = full_tuning_of(settings)
    limit = _measured_limit(settings, console)
    full, crowd = within_memory(full, workers_of(settings)), workers_of(settings).crowd
    with locked(settings.folder) as warning:
        _open(settings, checks)
        facts = [
            *checks.facts,
            *_limit_facts(settings, limit),
            *([full.line] if full.is_on else []),
            *filter(None, (warning, crowd)),
        ]
        _say(console, f"study  {settings.folder}", *facts, *tracked)
        results = new_results(settings, checks)
        tracker = _tracker(settings, results, console, mode)
        try:
            with tracker or nullcontext():
                _train(settings, results, limit, console, tracker, full=full, command=command)
                return _sum_up(settings, results, console, full=full, command=command)
        except Interrupted:
            _say(console, "Stopped. Finished runs are kept; to go on:", f"  {command}")
            raise


def rebuild_report(folder: Path) -> Path:
    """Rebuild tables and report of a study from its records.

    Raises:
        StudyError: the folder holds no study.
    """
    results = Study.open(folder).results()
    results.write_tables()
    write_findings(results.search_ranking(), folder, keys=results.keys)
    return build_report(folder)


def _open(settings: Settings, checks: Preflight) -> None:
    """Begin the study, or go on with it; another one of that name is refused."""
    open_folder(
        settings.folder,
        {**recorded(settings), "fingerprints": checks.fingerprints, "sizes": checks.sizes},
        resume=settings.resume,
        defaults=default_settings(),
    )


def _tracker(
    settings: Settings, results: Results, console: Console, mode: Tracking
) -> TrackingWatcher | None:
    say = functools.partial(_say, console)
    return tracker_of(results, settings.tracking, console, mode=mode, say=say)


def _measured_limit(settings: Settings, console: Console) -> MemoryLimit | None:
    if settings.executor.max_memory_gb is None:
        return None
    with busy(console, "Measuring the memory of a cheap and of an expensive config ..."):
        return memory_limit(Workload.of(settings), workers_of(settings))


def _limit_facts(settings: Settings, limit: MemoryLimit | None) -> list[str]:
    return [limit.in_words([recipe for _, recipe in settings.configs()])] if limit else []


def _train(
    settings: Settings,
    results: Results,
    limit: MemoryLimit | None,
    console: Console,
    tracker: TrackingWatcher | None,
    *,
    full: FullTuning,
    command: str,
) -> None:
    """Run the loop to its end, or to that of its time, and say what it left out.

    Raises:
        Interrupted: by a signal; what is done is in its records.
    """
    watchers = watchers_of(results, console, tracker)
    halt = Halt(
        timeout_min=settings.search.timeout_min,
        grace_s=settings.executor.grace_s,
        say=lambda line: _say(console, line),
    )
    with database_trouble_told(results.files.database), halt:
        search = search_of(settings, limit)
        sweep = sweep_of(settings, search, results, watchers, halt)
        sweep.run()
        # A wandb address may have come in after the records were closed.
        results.write_tables()
        search.note_ranking(ranking_lines(results.configs()))
        behind = full_plan(settings, results) if full.is_on else None
        if behind is not None and not halt():
            workers = workers_of(settings)
            train_full(behind, results, workers, console, study=settings.name, halt=halt)
    halt.raise_if_interrupted()
    _say(console, *_left_out(settings, search, sweep))
    if halt.timed_out:
        owes = sweep.owes_confirmation
        left = halted_lines(results.records(), sweep.num_runs, command, owes_confirmation=owes)
        waiting = behind.waiting(results.full) if behind is not None else 0
        _say(console, *(left or full_halted_lines(waiting, command)))


def _left_out(settings: Settings, search: OptunaSearch, sweep: Sweep) -> list[str]:
    """Why there are fewer runs than was asked for."""
    return [
        *folded_lines(sweep.folded),
        *left_out_lines(search.infeasible, settings.executor.max_memory_gb),
        *(used_up_lines(settings.search, settings.space.num_points) if search.is_used_up else []),
    ]


def _sum_up(
    settings: Settings, results: Results, console: Console, *, full: FullTuning, command: str
) -> int:
    """Ranking, failures, verdict, export, where everything lies, the next command."""
    failed = [r for r in results.records() if r.state is RunState.FAILED]
    board = results.configs()
    if board:
        _show_ranking(board, console, results, objectives=settings.objectives)
    _say(console, *failure_lines(failed))
    if not board:
        _say(console, "No run finished.", f"logs: {results.files.logs}")
        return EXIT_NONE_FINISHED
    baselines = _baselines(settings, results, console, full=full)
    if baselines is not None:
        console.print(baseline_table(baselines, results.metric))
    _say(console, *_verdict(results, board, baselines), wrap=True)
    results.looked_at()
    _say(console, *encoder_lines(settings, command), *highest_mean_lines(results))
    base = settings.recipe(settings.search.seeds[0]).config_id
    scorers = workers_of(settings).num_scorers
    _say(console, *hand_over(results, console, baseline_id=base, num_scorers=scorers))
    return EXIT_SOME_FAILED if failed else EXIT_DONE


def _show_ranking(
    board: Sequence[ConfigRow],
    console: Console,
    results: Results,
    *,
    objectives: Sequence[Objective],
) -> None:
    keys, metric = results.keys, results.metric
    console.print()
    console.print(ranked_groups(board, keys=keys, metric=metric))
    front = [row for row in board if row.pareto]
    if front:
        _say(console, "", "Pareto front: nothing else is as good in every objective")
        names = [objective.name for objective in objectives]
        console.print(pareto_table(front, objectives=names, keys=keys, metric=metric))


def _baselines(
    settings: Settings, results: Results, console: Console, *, full: FullTuning
) -> Baselines | None:
    asked = settings.baselines
    kinds = frozen_kinds(settings.task, cosine=asked.cosine, head=asked.head)
    plan = full_plan(settings, results) if full.is_on else None
    with busy(console, "Scoring the base without LoRA ..."):
        return update_baselines(results, kinds, full=plan, threads=len(physical_cores()))


def _verdict(
    results: Results, board: Sequence[ConfigRow], baselines: Baselines | None
) -> list[str]:
    """What LoRA is worth, which config to use, what matters, what the search's short cuts cost."""
    found = write_findings(results.search_ranking(), results.folder, keys=results.keys)
    return [
        *verdict_lines(results, baselines),
        *matters_line(found.effects),
        *answer_lines(found.answers),
        *own_rates_lines(found.own_rates),
        *variant_lines(found.variants),
        *pruning_lines(results.records(), board),
        *compare_with_plan(results.folder, results.records()),
    ]


def _say(console: Console, *lines: str, wrap: bool = False) -> None:
    """Print lines; sentences may `wrap` at words on a terminal, paths and commands stay whole."""
    for line in lines:
        console.print(Text(line), soft_wrap=not (wrap and console.is_terminal))
