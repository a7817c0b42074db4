"""`mode=plan`: what a sweep would train and what that would take, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.budget.full_tuning import planned_full
from sweep.budget.plan import PlannedRun, plan_of, planned_runs
from sweep.budget.workload import Workload
from sweep.commands.build import workers_of
from sweep.config.confirming import confirmation_of
from sweep.config.full_tuning import full_tuning_of
from sweep.config.preflight import preflight, settled
from sweep.config.schema import SearchSettings, Settings
from sweep.core.words import cell_text, columns_of, compact, duration
from sweep.loop.confirm import Confirmation
from sweep.loop.race import fewest_seeds
from sweep.lora.model import targets_in
from sweep.lora.stand_in import standing_in
from sweep.study.plan import Plan, write_plan
from sweep.watch.ranking_tables import add_columns
from sweep.watch.terminal import busy

_SHOWN = 24


def show_plan(settings: Settings, console: Console) -> Plan:
    """Check everything, time two packs for a few steps, print, and write `plan.json`.

    Where the base's weights are not at hand, random ones stand in for them.

    Raises:
        UserMistake: whatever would stop the sweep.
    """
    with standing_in(settings.model) as model:
        return _show_plan(
            settings if model is None else replace(settings, model=model), settings, console
        )


def _show_plan(settings: Settings, asked: Settings, console: Console) -> Plan:
    """`show_plan` of settings whose base can be loaded; `asked` are those of the user."""
    with busy(console, "Checking model, data and every config ..."):
        settings = settled(settings)
        checks = preflight(settings)
        full = full_tuning_of(settings)
    for fact in (*checks.facts, *_weights_line(settings, asked)):
        console.print(Text(fact.replace(settings.model.path, asked.model.path)), soft_wrap=True)
    with busy(console, "Training a few steps of a cheap and of an expensive pack ..."):
        load, workers = Workload.of(settings), workers_of(settings)
        runs = planned_runs(load, workers)
        behind = planned_full(full, workers) if full.is_on else None
    whole = plan_of(load, workers, runs, dev_rows=len(checks.dev_labels))
    plan = _named_as(asked, settings, replace(whole, full=behind))
    write_plan(settings.folder, plan)
    console.print()
    console.print(_table(runs, keys=list(settings.space.keys)))
    if len(runs) > _SHOWN:
        console.print(Text(f"... and {len(runs) - _SHOWN} more configs"))
    console.print()
    for line in (
        f"plan   {plan.runs} runs on {plan.workers} workers, about {duration(plan.seconds)} "
        f"of training{_less(settings.search)}",
        *_confirmation_line(plan, confirmation_of(settings, runs=plan.runs)),
        full.line,
        *([behind.line] if behind else []),
        f"cells  {plan.folded_cells} folded into another, {plan.infeasible_cells} too large for "
        "the memory of a worker",
        f"disk   at most {plan.disk_mb:,.0f} MB in {settings.folder}",
        "next   the same command without mode=plan",
    ):
        console.print(Text(line), soft_wrap=True)
    return plan


def _weights_line(settings: Settings, asked: Settings) -> list[str]:
    if settings.model == asked.model:
        return []
    return [f"       no weights of {asked.model.path} are here: random ones stand in for the plan"]


def _named_as(asked: Settings, settings: Settings, plan: Plan) -> Plan:
    """The plan with the ids that the configs will have in the sweep."""
    asked = replace(asked, trainer=settings.trainer)
    both = zip(settings.points(), asked.points(), strict=True)
    ids = {planned.config_id: own.config_id for (_, planned), (_, own) in both}
    return replace(
        plan, configs=tuple(replace(one, config_id=ids[one.config_id]) for one in plan.configs)
    )


def _less(search: SearchSettings) -> str:
    fewest = fewest_seeds(search.race)
    saved = [
        *(["pruning"] if search.pruner != "none" else []),
        *(["the race of the seeds"] if search.race and len(search.seeds) > fewest else []),
    ]
    return f", less what {' and '.join(saved)} will save" if saved else ""


def _confirmation_line(plan: Plan, confirmation: Confirmation) -> list[str]:
    """The runs after the search, of which nobody knows yet what they will train."""
    runs = confirmation.most_runs
    if runs == 0:
        return []
    seconds = plan.seconds * runs / plan.runs
    return [f"       then up to {runs} runs to confirm the leaders, about {duration(seconds)}"]


def _table(runs: Sequence[PlannedRun], *, keys: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = columns_of(keys)
    add_columns(table, *columns, folded=True)
    add_columns(table, "modules", "LoRA", "head", "base", "memory", "a run")
    for run in runs[:_SHOWN]:
        lora, head = run.num_parameters
        settings = {key: run.recipe.value_of(key) for key in keys}
        values = [Text(cell_text(own, settings)) for own in columns.values()]
        layers = len(targets_in(run.recipe).layers)
        memory = "" if run.peak_memory_mb is None else f"{run.peak_memory_mb:,.0f} MB"
        counts = str(layers), compact(lora), compact(head)
        base = f"{run.base_memory_mb:,.0f} MB"
        table.add_row(*values, *counts, base, memory, duration(run.seconds))
    return table
