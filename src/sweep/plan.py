"""`mode=plan`: what a sweep would train and what that would take, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.core.recipe import Recipe
from sweep.core.space import Params
from sweep.execute.processes import in_fresh_process, warm_up
from sweep.forecast import Plan, PlannedConfig, write_plan
from sweep.parts import confirmation_of, num_threads, num_workers
from sweep.preflight import preflight, with_settled_precision
from sweep.settings import Settings
from sweep.train.cost import relative_cost, relative_memory
from sweep.train.data import load_split
from sweep.train.memory import memory_for_workers
from sweep.train.model import targets_of
from sweep.train.pace import Pace, measure_pace
from sweep.watch.console import compact, duration, short

_SHOWN = 24
#: Adapter and head of the best evaluation in float32, and twice that for Adam in the rung.
_BYTES_A_PARAMETER = 4 * (1 + 3)


@dataclass(frozen=True)
class PlannedRun:
    """One config of the plan: its point, its recipe, and what one of its runs takes."""

    params: Params
    recipe: Recipe
    seconds: float
    peak_memory_mb: float | None

    @property
    def num_parameters(self) -> tuple[int, int]:
        """Trained parameters: LoRA, head."""
        targets = targets_of(self.recipe.model, self.recipe.lora)
        return targets.lora_params(self.recipe.lora.r), targets.head_params


def show_plan(settings: Settings, console: Console) -> None:
    """Check everything, time two configs for a few steps, print, and write `plan.json`.

    Raises:
        UserMistake: whatever would stop the sweep.
    """
    with console.status("Checking model, data and every config ..."):
        settings = with_settled_precision(settings)
        facts = preflight(settings).facts
    for fact in facts:
        console.print(Text(fact), soft_wrap=True)
    with console.status("Training a few steps of a cheap and of a dear config ..."):
        runs = planned_runs(settings)
    plan = plan_of(settings, runs)
    write_plan(settings.folder, plan)
    console.print()
    console.print(_table(runs, keys=list(settings.space.keys)))
    if len(runs) > _SHOWN:
        console.print(Text(f"... and {len(runs) - _SHOWN} more configs"))
    console.print()
    for line in (
        f"plan   {plan.runs} runs on {plan.workers} workers, about {duration(plan.seconds)} "
        f"of training{_less(settings)}",
        *_confirmation_line(settings, plan),
        f"cells  {plan.folded_cells} folded into another, {plan.infeasible_cells} too large for "
        "the memory of a worker",
        f"disk   at most {plan.disk_mb:,.0f} MB in {settings.folder}",
        "next   the same command without mode=plan",
    ):
        console.print(Text(line), soft_wrap=True)


def _less(settings: Settings) -> str:
    search = settings.search
    saved = [
        *(["pruning"] if search.pruner != "none" else []),
        *(["the race of the seeds"] if search.race and len(search.seeds) > 1 else []),
    ]
    return f", less what {' and '.join(saved)} will save" if saved else ""


def _confirmation_line(settings: Settings, plan: Plan) -> list[str]:
    """The runs after the search, of which nobody knows yet what they will train."""
    runs = confirmation_of(settings, runs=plan.runs).most_runs
    if runs == 0:
        return []
    seconds = plan.seconds * runs / plan.runs
    return [f"       then up to {runs} runs to confirm the leaders, about {duration(seconds)}"]


def plan_of(settings: Settings, runs: Sequence[PlannedRun]) -> Plan:
    """The whole sweep, from what its configs take."""
    is_grid = settings.search.sampler == "grid"
    configs = len(runs) if is_grid else settings.search.n_trials
    count, workers = configs * len(settings.search.seeds), num_workers(settings)
    mean = float(np.mean([run.seconds for run in runs]))
    # Sharing out runs of unlike lengths leaves workers idle for half a run at the end.
    seconds = count * mean / min(workers, count) + (mean / 2 if count > workers else 0.0)
    most = memory_for_workers(workers)
    return Plan(
        workers=workers,
        runs=count,
        seconds=seconds,
        folded_cells=len(settings.space.grid()) - len(runs) if is_grid else 0,
        infeasible_cells=sum((run.peak_memory_mb or 0) > most for run in runs) if most else 0,
        disk_mb=count * max(sum(run.num_parameters) for run in runs) * _BYTES_A_PARAMETER / 1e6,
        configs=tuple(
            PlannedConfig(
                run.recipe.config_id, run.seconds, run.peak_memory_mb, *run.num_parameters
            )
            for run in runs
        ),
    )


def planned_runs(settings: Settings) -> list[PlannedRun]:
    """Configs of a grid, or the corners of a space that a sampler draws from.

    Each distinct training once; what it takes is interpolated between those that were tried.
    """
    seed = settings.search.seeds[0]
    is_grid = settings.search.sampler == "grid"
    points = settings.space.grid() if is_grid else settings.space.corners()
    found: dict[str, tuple[Params, Recipe]] = {}
    for point in points:
        recipe = settings.expand(point, seed)
        found.setdefault(recipe.config_id, (point, recipe))
    recipes = [recipe for _, recipe in found.values()]
    ends = _ends(recipes)
    paces = _measured(ends, settings)
    rows = len(load_split(settings.data, "train"))
    seconds = [p.run_seconds(r, train_rows=rows) for r, p in zip(ends, paces, strict=True)]
    peaks = [pace.peak_memory_mb for pace in paces]
    times = _along([relative_cost(r) for r in ends], seconds, [relative_cost(r) for r in recipes])
    known = [peak for peak in peaks if peak is not None]
    memory: list[float] | list[None] = [None] * len(recipes)
    if len(known) == len(ends):
        memory = _along(
            list(map(relative_memory, ends)), known, list(map(relative_memory, recipes))
        )
    return [
        PlannedRun(point, recipe, time, peak)
        for (point, recipe), time, peak in zip(found.values(), times, memory, strict=True)
    ]


def _ends(recipes: Sequence[Recipe]) -> list[Recipe]:
    """The cheapest and the dearest; one where all are alike."""
    ends = [min(recipes, key=relative_cost), max(recipes, key=relative_cost)]
    return ends[: 2 if ends[0].config_id != ends[1].config_id else 1]


def _measured(recipes: Sequence[Recipe], settings: Settings) -> list[Pace]:
    """Few steps of each, at the same time where workers will train at the same time."""
    import torch

    warm_up("sweep.train.pace")
    together = num_workers(settings) if not torch.cuda.is_available() else 1
    threads = num_threads(settings)
    with ThreadPoolExecutor(together) as pool:
        return list(pool.map(lambda r: in_fresh_process(measure_pace, r, threads), recipes))


def _along(known: Sequence[float], values: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """Values interpolated over what is known to order them."""
    order = np.argsort(known)
    return [float(v) for v in np.interp(wanted, np.take(known, order), np.take(values, order))]


def _table(runs: Sequence[PlannedRun], *, keys: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (*map(short, keys), "modules", "LoRA", "head", "memory", "a run"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs[:_SHOWN]:
        lora, head = run.num_parameters
        values = [str(run.recipe.value_of(key)) for key in keys]
        layers = len(targets_of(run.recipe.model, run.recipe.lora).layers)
        memory = "" if run.peak_memory_mb is None else f"{run.peak_memory_mb:,.0f} MB"
        counts = str(layers), compact(lora), compact(head)
        table.add_row(*values, *counts, memory, duration(run.seconds))
    return table
