"""What full fine-tuning is expected to take, from a few steps of it."""

from __future__ import annotations

import math
from dataclasses import replace

from sweep.budget.workers import Workers
from sweep.config.full_tuning import FullTuning
from sweep.data.pairs import load_split
from sweep.execute.fresh import in_fresh_process
from sweep.study.plan import PlannedFull
from sweep.train.pace import measure_pace

#: In float32: the best evaluation's weights, and three times that in a rung, with Adam's moments.
_BYTES = 4


def planned_full(full: FullTuning, workers: Workers) -> PlannedFull:
    """Train a few steps of it, and say what all its runs take."""
    plan = full.plan
    recipe = plan.recipe(plan.rates[0], plan.first)
    pace = in_fresh_process(measure_pace, (recipe,), workers.threads)
    seconds = pace.run_seconds(train_rows=len(load_split(recipe.data, "train")))
    # The rates come first, since the best of them is what the other seeds train.
    rounds = sum(math.ceil(runs / workers.count) for runs in (len(plan.rates), len(plan.further)))
    kept = plan.num_runs + 3 * min(workers.count, plan.num_runs)
    return PlannedFull(
        runs=plan.num_runs,
        params=full.params,
        run_seconds=seconds,
        seconds=rounds * seconds,
        peak_memory_mb=pace.peak_memory_mb,
        disk_mb=kept * full.params * _BYTES / 1e6,
    )


def within_memory(full: FullTuning, workers: Workers) -> FullTuning:
    """The same, but off where it takes more than `executor.max_memory_gb` leaves a worker."""
    most = workers.memory_mb
    if not full.is_on or workers.max_memory_gb is None or most is None:
        return full
    needed = planned_full(full, workers).peak_memory_mb or 0.0
    if needed <= most:
        return full
    why = (
        f"it takes {needed:,.0f} MB of a worker, and executor.max_memory_gb="
        f"{workers.max_memory_gb:g} leaves each {most:,.0f} MB"
    )
    return replace(full, is_on=False, why=why)
