"""The parts of a sweep, each built from its settings. Knows all rooms and runs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console

from sweep.budget.estimate import MemoryLimit
from sweep.budget.packs import largest_pack
from sweep.budget.workers import Workers
from sweep.budget.workload import Workload
from sweep.commands.afar import afar_executor
from sweep.config.confirming import confirmation_of
from sweep.config.preflight import Preflight
from sweep.config.schema import SearchSettings, Settings
from sweep.core.files import replacing_file, write_text
from sweep.core.recipe import Recipe
from sweep.execute.in_process import InProcess
from sweep.execute.processes import Processes
from sweep.loop.confirm import Confirmation
from sweep.loop.objectives import Objective
from sweep.loop.orchestrator import Sweep
from sweep.loop.ports import Executor, Halting, Watcher
from sweep.loop.rules import Rules
from sweep.loop.trial import Run
from sweep.lora.packable import pack_key
from sweep.search import OptunaSearch, SearchTask
from sweep.space.space import Params
from sweep.study.effects_files import write_findings
from sweep.study.files import StudyFiles
from sweep.study.folder import versions
from sweep.study.reading import to_json
from sweep.study.study import Study
from sweep.study.tables import Results
from sweep.train.cost import relative_cost
from sweep.train.runs import train_pack
from sweep.watch.console import ConsoleWatcher
from sweep.watch.report import ReportWatcher, figures_in_light
from sweep.watch.tracked_values import StudyLog, baseline_values, study_tables
from sweep.watch.tracking import TrackingWatcher


def workers_of(settings: Settings) -> Workers:
    return Workers.of(settings.executor, use_cpu=settings.trainer.use_cpu)


def search_of(settings: Settings, limit: MemoryLimit | None = None) -> OptunaSearch:
    """The search; configs beyond the limit are left out."""

    def first_recipe(params: Params) -> Recipe:
        return settings.expand(params, settings.search.seeds[0])

    def excess_mb(params: Params) -> float:
        return limit.excess_mb(first_recipe(params)) if limit else 0.0

    search = settings.search
    task = SearchTask(
        name=settings.name,
        space=settings.space,
        sampler=search.sampler,
        num_trials=search.n_trials,
        seeds=search.seeds,
        sampler_seed=search.sampler_seed,
        pruner=search.pruner,
        reduction=search.reduction,
        grace=search.grace,
        objectives=settings.objectives,
        first=settings.first_points(),
        cost=lambda params: relative_cost(first_recipe(params)),
        excess=excess_mb,
        recipe=first_recipe,
    )
    return OptunaSearch(StudyFiles(settings.folder).database, task)


def sweep_of(
    settings: Settings,
    search: OptunaSearch,
    results: Results,
    watchers: Sequence[Watcher],
    halt: Callable[[], Halting],
) -> Sweep:
    runs = _num_runs(settings, search)
    load, workers = Workload.of(settings), workers_of(settings)
    files, pack_size = StudyFiles(settings.folder.resolve()), largest_pack(load, workers)
    return Sweep(
        study=settings.name,
        search=search,
        executor=executor_of(workers, files, runs=runs, pack_size=pack_size),
        records=results,
        watchers=watchers,
        expand=settings.expand,
        pack_key=pack_key,
        rules=_rules(settings.search, settings.objectives, confirmation_of(settings, runs=runs)),
        halt=halt,
        num_runs=runs,
        again=_lost_runs(settings, search, results),
    )


def _lost_runs(settings: Settings, search: OptunaSearch, results: Results) -> list[Run]:
    """Runs that were trained, and whose records somebody or something has damaged since.

    What is still open is asked for again by the search itself.
    """
    lost = results.lost()
    found: dict[str, Run] = {}
    for trial in search.told() if lost else ():
        for seed in settings.search.seeds:
            run = Run(trial.number, trial.params, settings.expand(trial.params, seed))
            if run.id in lost:
                found.setdefault(run.id, run)
    return list(found.values())


def _num_runs(settings: Settings, search: OptunaSearch) -> int:
    """Distinct runs of a grid; of a sampler, whose draws may be alike, as many as it has."""
    seeds = settings.search.seeds
    most = search.num_trials * len(seeds)
    if settings.search.sampler != "grid":
        return most
    left_out = [point for point, _ in search.infeasible]
    cells = [point for point in settings.space.grid() if point not in left_out]
    return len({settings.expand(p, seed).run_id for p in cells for seed in seeds}) or most


def _rules(
    search: SearchSettings, objectives: tuple[Objective, ...], confirmation: Confirmation
) -> Rules:
    """How much every config is trained."""
    return Rules(
        seeds=search.seeds,
        # The race is for the best score alone.
        race=search.race if len(objectives) == 1 else False,
        prunes=search.pruner != "none",
        reduction=search.reduction if search.pruner == "halving" else None,
        grace=search.grace,
        audit=search.audit,
        objectives=objectives,
        confirmation=confirmation,
    )


def executor_of(workers: Workers, files: StudyFiles, *, runs: int, pack_size: int) -> Executor:
    """One worker per GPU with large packs; without one, a worker per core with small packs.

    Where workers are afar, as many as are expected.
    """
    if workers.afar is not None:
        return afar_executor(workers, workers.afar, files, pack_size=pack_size)
    if workers.in_process:
        if workers.threads != torch.get_num_threads():
            torch.set_num_threads(workers.threads)
        return InProcess(train_pack, runs_dir=files.runs, pack_size=pack_size)
    return Processes(
        train_pack,
        runs_dir=files.runs,
        logs_dir=files.logs,
        workers=min(workers.count, runs),
        threads=workers.threads,
        gpus=workers.gpus,
        cores=workers.pinned_cores,
        pack_size=pack_size,
    )


def recorded(settings: Settings) -> dict[str, Any]:
    """What a study remembers of its settings."""
    content = dataclasses.asdict(settings)
    del content["mode"]
    # Whoever reads the study's folder compares with this config.
    return {**content, "baseline": settings.baseline_id}


def watchers_of(
    results: Results, console: Console, tracker: TrackingWatcher | None
) -> list[Watcher]:
    """Who is told what happens."""
    shown: list[Watcher] = [ConsoleWatcher(console), ReportWatcher(results.folder)]
    return [*shown, *([tracker] if tracker else [])]


def study_log(results: Results) -> StudyLog:
    """For the study's own run at a tracker, once everything is trained."""
    write_findings(results.search_ranking(), results.folder, keys=results.keys)
    study = Study.open(results.folder)
    figures, baselines = figures_in_light(results.folder), baseline_values(study.baselines)
    name = study.metric.name
    told = study.verdict.sentences if study.verdict else ()
    return StudyLog(results.table(), study_tables(study), figures, baselines, name, told)


def new_results(settings: Settings, checks: Preflight) -> Results:
    files = StudyFiles(settings.folder)
    with replacing_file(files.dev_labels) as path:
        np.save(path, checks.dev_labels)
    write_text(files.guard, to_json(checks.guard))
    return Results(
        settings.folder,
        searched_keys=settings.space.keys,
        versions=versions(),
        objectives=settings.objectives,
        search_seeds=settings.search.seeds,
        baseline=settings.baseline_id,
        metric=settings.task.measure,
        keep=settings.executor.keep,
    )
