"""`mode=plan`: what a sweep would train and what that would take, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.budget.estimate import estimates_of_packs, memory_limit
from sweep.budget.workers import memory_of_each, num_workers, usual_pack
from sweep.commands.build import confirmation_of
from sweep.config.preflight import preflight, with_settled_precision
from sweep.config.schema import Settings
from sweep.core.recipe import Recipe
from sweep.core.words import compact, duration, name_of, value_text
from sweep.loop.race import fewest_seeds
from sweep.lora.model import targets_of
from sweep.space.space import Params
from sweep.study.plan import Plan, PlannedConfig, write_plan
from sweep.watch.console import add_columns

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
    #: Whether a worker can hold it, in a pack of its like.
    fits: bool

    @property
    def num_parameters(self) -> tuple[int, int]:
        """Trained parameters: LoRA, head."""
        targets = targets_of(self.recipe.model, self.recipe.lora)
        return targets.lora_params(self.recipe.lora.r), targets.head_params


def show_plan(settings: Settings, console: Console) -> None:
    """Check everything, time two packs for a few steps, print, and write `plan.json`.

    Raises:
        UserMistake: whatever would stop the sweep.
    """
    with console.status("Checking model, data and every config ..."):
        settings = with_settled_precision(settings)
        facts = preflight(settings).facts
    for fact in facts:
        console.print(Text(fact), soft_wrap=True)
    with console.status("Training a few steps of a cheap and of an expensive pack ..."):
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
    fewest = fewest_seeds(search.race)
    saved = [
        *(["pruning"] if search.pruner != "none" else []),
        *(["the race of the seeds"] if search.race and len(search.seeds) > fewest else []),
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
    workers = num_workers(settings)
    is_grid = settings.search.sampler == "grid"
    fitting = [run for run in runs if run.fits]
    configs = len(fitting) if is_grid else settings.num_configs
    count = configs * len(settings.search.seeds)
    mean = float(np.mean([run.seconds for run in fitting or runs]))
    packs = max(1, -(-count // usual_pack(settings)))
    # Every worker trains one pack after the other; in the last round some may be idle.
    rounds = -(-packs // workers)
    return Plan(
        workers=workers,
        runs=count,
        seconds=rounds * mean * count / packs,
        folded_cells=len(settings.space.grid()) - len(runs) if is_grid else 0,
        infeasible_cells=len(runs) - len(fitting),
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

    Each distinct training once; what it takes is interpolated between packs that were tried.

    Raises:
        ConfigError: not even the cheapest fits into `executor.max_memory_gb`.
    """
    limit = memory_limit(settings)
    estimates = estimates_of_packs(settings)
    most = memory_of_each(settings)

    def fits(recipe: Recipe) -> bool:
        if limit is not None:
            return limit.excess_mb(recipe) <= 0
        return most is None or (estimates.peak_memory_mb(recipe) or 0.0) <= most

    return [
        PlannedRun(
            point,
            recipe,
            estimates.seconds(recipe),
            estimates.peak_memory_mb(recipe),
            fits(recipe),
        )
        for point, recipe in settings.configs()
    ]


def _table(runs: Sequence[PlannedRun], *, keys: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    add_columns(table, *map(name_of, keys), folded=True)
    add_columns(table, "modules", "LoRA", "head", "memory", "a run")
    for run in runs[:_SHOWN]:
        lora, head = run.num_parameters
        values = [Text(value_text(run.recipe.value_of(key))) for key in keys]
        layers = len(targets_of(run.recipe.model, run.recipe.lora).layers)
        memory = "" if run.peak_memory_mb is None else f"{run.peak_memory_mb:,.0f} MB"
        counts = str(layers), compact(lora), compact(head)
        table.add_row(*values, *counts, memory, duration(run.seconds))
    return table
