"""`mode=plan`: what a sweep would train and how long that would take, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.config import Settings
from sweep.core.recipe import Recipe
from sweep.core.space import Params
from sweep.execute.processes import in_fresh_process, warm_up
from sweep.preflight import preflight, with_settled_precision
from sweep.start import num_workers
from sweep.train.cost import relative_cost
from sweep.train.data import load_split
from sweep.train.model import targets_of
from sweep.train.pace import Pace, measure_pace
from sweep.watch.console import compact, duration, short

_SHOWN = 24
#: Adapter and head of the best evaluation in float32, and twice that for Adam in the rung.
_BYTES_A_PARAMETER = 4 * (1 + 3)


@dataclass(frozen=True)
class PlannedRun:
    """One config of the plan: its point, its recipe, and the seconds of one of its runs."""

    params: Params
    recipe: Recipe
    seconds: float

    @property
    def num_parameters(self) -> tuple[int, int]:
        """Trained parameters: LoRA, head."""
        targets = targets_of(self.recipe.model, self.recipe.lora)
        return targets.lora_params(self.recipe.lora.r), targets.head_params


def show_plan(settings: Settings, console: Console) -> None:
    """Check everything, time the cheapest and the dearest config for a few steps, and print.

    Raises:
        UserMistake: whatever would stop the sweep.
    """
    with console.status("Checking model, data and every config ..."):
        settings = with_settled_precision(settings)
        facts = preflight(settings).facts
    for fact in facts:
        console.print(Text(fact), soft_wrap=True)
    with console.status("Timing a few steps of the cheapest and the dearest config ..."):
        runs = planned_runs(settings)
    console.print()
    console.print(_table(runs, keys=list(settings.space.keys)))
    if len(runs) > _SHOWN:
        console.print(Text(f"... and {len(runs) - _SHOWN} more configs"))
    count, workers = (
        _num_configs(settings, runs) * len(settings.search.seeds),
        num_workers(settings),
    )
    mean = float(np.mean([run.seconds for run in runs]))
    # Sharing out runs of unlike lengths leaves workers idle for half a run at the end.
    total = count * mean / min(workers, count) + (mean / 2 if count > workers else 0.0)
    disk = count * max(sum(run.num_parameters) for run in runs) * _BYTES_A_PARAMETER
    console.print()
    for line in (
        f"plan   {count} runs on {workers} workers, about {duration(total)} of training",
        f"disk   at most {disk / 1e6:,.0f} MB in {settings.folder}",
        "next   the same command without mode=plan",
    ):
        console.print(Text(line), soft_wrap=True)


def planned_runs(settings: Settings) -> list[PlannedRun]:
    """Configs of a grid, or the corners of a space that a sampler draws from.

    Each distinct training once; seconds are interpolated between the two that were timed.
    """
    seed = settings.search.seeds[0]
    is_grid = settings.search.sampler == "grid"
    points = settings.space.grid() if is_grid else settings.space.corners()
    recipes: dict[str, tuple[Params, Recipe]] = {}
    for point in points:
        recipe = settings.expand(point, seed)
        recipes.setdefault(recipe.config_id, (point, recipe))
    costs = {name: relative_cost(recipe) for name, (_, recipe) in recipes.items()}
    ends = sorted(
        {min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)},
        key=costs.__getitem__,
    )
    rows = len(load_split(settings.data, "train"))
    warm_up("sweep.train.pace")
    paces: list[Pace] = [in_fresh_process(measure_pace, recipes[name][1]) for name in ends]
    seconds = [
        p.run_seconds(recipes[n][1], train_rows=rows) for n, p in zip(ends, paces, strict=True)
    ]
    timed = [costs[name] for name in ends]
    return [
        PlannedRun(point, recipe, float(np.interp(costs[name], timed, seconds)))
        for name, (point, recipe) in recipes.items()
    ]


def _num_configs(settings: Settings, runs: Sequence[PlannedRun]) -> int:
    return len(runs) if settings.search.sampler == "grid" else settings.search.n_trials


def _table(runs: Sequence[PlannedRun], *, keys: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (*map(short, keys), "modules", "LoRA", "head", "a run"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs[:_SHOWN]:
        lora, head = run.num_parameters
        values = [run.recipe.value_of(key) for key in keys]
        layers = len(targets_of(run.recipe.model, run.recipe.lora).layers)
        table.add_row(
            *map(str, values), str(layers), compact(lora), compact(head), duration(run.seconds)
        )
    return table
