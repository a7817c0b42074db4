"""The parts of a sweep, each built from its settings. Knows all rooms and runs nothing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from sweep.budget.estimate import MemoryLimit
from sweep.budget.workers import asked_workers, gpus_of, largest_pack, threads_of_each
from sweep.config.preflight import Preflight
from sweep.config.schema import Settings
from sweep.core.files import replacing_file, write_text
from sweep.core.recipe import Recipe
from sweep.execute.cores import physical_cores
from sweep.execute.in_process import InProcess
from sweep.execute.processes import Processes
from sweep.loop.confirm import Confirmation
from sweep.loop.orchestrator import Sweep
from sweep.loop.ports import Executor, Watcher
from sweep.loop.rules import Rules
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
from sweep.watch.wandb_log import WandbWatcher
from sweep.watch.wandb_values import StudyLog, study_tables


def search_of(settings: Settings, limit: MemoryLimit | None = None) -> OptunaSearch:
    """The search; configs beyond the limit are left out."""

    def excess_mb(params: Params) -> float:
        return limit.excess_mb(_first_recipe(settings, params)) if limit else 0.0

    task = SearchTask(
        name=settings.name,
        space=settings.space,
        sampler=settings.search.sampler,
        num_trials=settings.search.n_trials,
        seeds=settings.search.seeds,
        sampler_seed=settings.search.sampler_seed,
        pruner=settings.search.pruner,
        reduction=settings.search.reduction,
        grace=settings.search.grace,
        objectives=settings.objectives,
        first=settings.first_points(),
        cost=lambda params: relative_cost(_first_recipe(settings, params)),
        excess=excess_mb,
    )
    return OptunaSearch(StudyFiles(settings.folder).database, task)


def _first_recipe(settings: Settings, params: Params) -> Recipe:
    return settings.expand(params, settings.search.seeds[0])


def sweep_of(
    settings: Settings,
    search: OptunaSearch,
    results: Results,
    watchers: Sequence[Watcher],
    halt: Callable[[], bool],
) -> Sweep:
    runs = _num_runs(settings, search) or search.num_trials * len(settings.search.seeds)
    return Sweep(
        study=settings.name,
        search=search,
        executor=_executor(
            settings,
            runs=runs,
            pack_size=largest_pack(settings),
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
        race=search.race if len(settings.objectives) == 1 else False,
        prunes=search.pruner != "none",
        reduction=search.reduction if search.pruner == "halving" else None,
        grace=search.grace,
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
        spare=settings.num_spare_runs,
    )


def _num_runs(settings: Settings, search: OptunaSearch) -> int | None:
    """Distinct runs of a grid; what a sampler will draw is not known."""
    if settings.search.sampler != "grid":
        return None
    left_out = [point for point, _ in search.infeasible]
    cells = [point for point in settings.space.grid() if point not in left_out]
    return len({settings.expand(p, seed).run_id for p in cells for seed in settings.search.seeds})


def _executor(settings: Settings, *, runs: int, pack_size: int) -> Executor:
    """One worker per GPU with large packs; without one, a worker per core with small packs.

    A core is pinned only where all are taken: two sweeps that each take half of a machine would
    choose the same half.
    """
    import torch

    files = StudyFiles(settings.folder.resolve())
    gpus, cores = gpus_of(settings), physical_cores()
    if settings.executor.kind == "in_process":
        if settings.executor.threads is not None:
            torch.set_num_threads(settings.executor.threads)
        return InProcess(train_pack, runs_dir=files.runs, pack_size=pack_size)
    asked, threads = asked_workers(settings), threads_of_each(settings)
    pinned = not gpus and threads == 1 and asked == len(cores) and hasattr(os, "sched_setaffinity")
    return Processes(
        train_pack,
        runs_dir=files.runs,
        logs_dir=files.logs,
        workers=min(asked, runs),
        threads=threads,
        gpus=gpus,
        cores=cores if pinned else (),
        pack_size=pack_size,
    )


def recorded(settings: Settings) -> dict[str, Any]:
    """What a study remembers of its settings."""
    content = dataclasses.asdict(settings)
    del content["mode"]
    # Whoever reads the study's folder compares with this config.
    return {**content, "baseline": settings.baseline_id}


def watchers_of(
    settings: Settings, results: Results, console: Console, *, mode: Any, say: Callable[[str], None]
) -> list[Watcher]:
    """Who is told what happens.

    Args:
        mode: Of wandb, resolved.
        say: Shows the user a line.
    """
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
                read_study=lambda: _study_log(settings, results),
                on_url=results.set_wandb_url,
                say=say,
            )
        )
    return watchers


def _study_log(settings: Settings, results: Results) -> StudyLog:
    """For the study's own wandb run, once everything is trained."""
    write_findings(results.search_ranking(), settings.folder, keys=settings.space.keys)
    study = Study.open(settings.folder)
    return StudyLog(results.table(), study_tables(study), figures_in_light(settings.folder))


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
    )
