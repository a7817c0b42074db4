"""What a study is expected to take on the disk, at most."""

from __future__ import annotations

from sweep.budget.packs import largest_pack
from sweep.budget.workers import Workers
from sweep.budget.workload import Workload

#: Of a trained parameter in float32: in an adapter, and in the checkpoint of an unfinished run,
#: where Adam has two more.
_ADAPTER, _CHECKPOINT = 4, 4 * 3
#: Of a run's record, and of its rows in tables, database and report.
_RECORD = 20_000
#: Of a predicted pair.
_PREDICTION = 8
#: Of report, tokenizer and logs, whatever is trained.
_ONCE = 8e6


def disk_mb(
    load: Workload, workers: Workers, *, runs: int, params: int, dev_rows: int = 0
) -> float:
    """MB of so many runs with so many trained parameters each.

    Under `halving` all of them may wait at a rung at once; else those that are trained.
    """
    trained = min(runs, workers.count * largest_pack(load, workers))
    waiting = runs if load.pauses else trained
    kept = runs
    if load.kept_configs is not None:
        # By place and by mean, and the baseline and the recommended one.
        kept = min(runs, (2 * load.kept_configs + 2) * load.num_seeds + trained)
    adapters = max(kept, waiting) * _ADAPTER
    rows = runs * (_RECORD + _PREDICTION * dev_rows)
    # One more adapter: the exported one.
    return (params * (adapters + _ADAPTER + waiting * _CHECKPOINT) + rows + _ONCE) / 1e6
