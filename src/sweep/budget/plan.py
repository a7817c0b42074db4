"""The plan: what each config is expected to take, and the whole sweep with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweep.budget.disk import disk_mb
from sweep.budget.estimate import estimates_of_packs, memory_limit
from sweep.budget.packs import usual_pack
from sweep.budget.workers import Workers
from sweep.budget.workload import Workload
from sweep.core.recipe import Recipe
from sweep.lora.model import targets_in
from sweep.lora.patterns import layer_ranks
from sweep.space.space import Params
from sweep.study.plan import Plan, PlannedConfig
from sweep.train.cost import base_bytes


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
        targets = targets_in(self.recipe)
        ranks = layer_ranks(targets, self.recipe.lora)
        return targets.lora_params(ranks), targets.head_params

    @property
    def base_memory_mb(self) -> float:
        """Of the frozen base, as it is kept on the device."""
        return base_bytes(self.recipe) / 1e6

    @property
    def as_config(self) -> PlannedConfig:
        """As the plan's file keeps it."""
        return PlannedConfig(
            self.recipe.config_id,
            self.seconds,
            self.peak_memory_mb,
            *self.num_parameters,
            base_memory_mb=round(self.base_memory_mb, 1),
        )


def planned_runs(load: Workload, workers: Workers) -> list[PlannedRun]:
    """Every config of the workload, with what a run of it takes: interpolated between packs that
    were tried.

    Raises:
        ConfigError: not even the cheapest fits into `executor.max_memory_gb`.
    """
    limit = memory_limit(load, workers)
    estimates = estimates_of_packs(load, workers)
    most = workers.memory_mb

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
        for point, recipe in load.configs
    ]


def plan_of(
    load: Workload, workers: Workers, runs: Sequence[PlannedRun], *, dev_rows: int = 0
) -> Plan:
    """The whole sweep, from what its configs take.

    Args:
        dev_rows: Of which every run leaves predictions.
    """
    fitting = [run for run in runs if run.fits]
    count = (len(fitting) if load.is_grid else load.num_configs) * load.num_seeds
    mean = float(np.mean([run.seconds for run in fitting or runs]))
    packs = max(1, -(-count // usual_pack(load, workers)))
    # Every worker trains one pack after the other; in the last round some may be idle.
    rounds = -(-packs // workers.count)
    params = max(sum(run.num_parameters) for run in runs)
    return Plan(
        workers=workers.count,
        runs=count,
        seconds=rounds * mean * count / packs,
        folded_cells=load.num_cells - len(runs) if load.is_grid else 0,
        infeasible_cells=len(runs) - len(fitting),
        disk_mb=disk_mb(load, workers, runs=count, params=params, dev_rows=dev_rows),
        configs=tuple(run.as_config for run in runs),
    )
