"""Full fine-tuning behind a search: the same loop, on records of its own."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from sweep.budget.workers import Workers
from sweep.commands.build import executor_of
from sweep.config.schema import Settings
from sweep.loop.orchestrator import Sweep
from sweep.loop.ports import Halting
from sweep.loop.rules import Rules
from sweep.lora.packable import pack_key
from sweep.search.rates import RateSearch
from sweep.study.full_runs import FullPlan, FullRecords
from sweep.study.tables import Results
from sweep.watch.console import ConsoleWatcher


def full_plan(settings: Settings, results: Results) -> FullPlan | None:
    """What stands beside the recommended config: its model, pairs, steps and seeds."""
    best = results.best_run()
    if best is None:
        return None
    contenders = results.ranking().contenders
    config = next(c for c in contenders if c.config_id == best.recipe.config_id)
    rates, first = settings.baselines.full_rates, settings.search.seeds[0]
    return FullPlan(best.recipe, rates, first, config.seeds)


def train_full(
    plan: FullPlan,
    results: Results,
    workers: Workers,
    console: Console,
    *,
    study: str,
    halt: Callable[[], Halting],
) -> None:
    """Train what is missing of the plan; runs that ended in an earlier start are not trained again.

    Args:
        halt: Whether the sweep is to end early, as for the search.
    """
    missing = plan.missing(results.full)
    if missing == 0:
        return
    console.print(Text(f"full fine-tuning: {plan.words}"), soft_wrap=True)
    search, files = RateSearch(plan), results.files.full
    most = max(len(plan.rates), len(plan.further))
    Sweep(
        study=study,
        search=search,
        executor=executor_of(workers, files, runs=min(missing, most), pack_size=1),
        records=FullRecords(results),
        watchers=[ConsoleWatcher(console)],
        expand=search.recipe,
        pack_key=pack_key,
        rules=Rules(seeds=(plan.first,)),
        halt=halt,
    ).run()
