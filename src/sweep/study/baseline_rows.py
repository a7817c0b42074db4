"""Baselines as rows of `table.csv` and `leaderboard.csv`, of the kind `baseline`.

They have no rank and no trial: what reads a study's configs passes them by.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev
from typing import Any

from sweep.study.baselines import Baselines, BaselineScore
from sweep.study.record import Record
from sweep.study.rows import BASELINE, flat, row_of

#: By column; what is missing is left empty.
Row = dict[str, Any]


def baseline_runs(
    found: Baselines | None, full: Sequence[Record], keys: Sequence[str]
) -> list[Row]:
    """A row for each run of full fine-tuning, then one for each baseline without runs.

    Args:
        full: Runs of full fine-tuning, also those under way.
    """
    others = [score for score in (found.told if found else []) if not score.seeds]
    return [*(_of_run(record, keys) for record in full), *map(_without_runs, others)]


def baseline_configs(found: Baselines | None, keys: Sequence[str]) -> list[Row]:
    """A row for each baseline with a score."""
    return [_of_score(score, keys) for score in (found.told if found else [])]


def _of_run(record: Record, keys: Sequence[str]) -> Row:
    row = flat(row_of(record, keys))
    none = {key: None for key in keys if key.startswith("lora.")}
    return {**row, **none, "trial": None, "scaling": None, "kind": BASELINE}


def _without_runs(score: BaselineScore) -> Row:
    return {
        "config_id": score.id,
        "state": "complete",
        "score": score.score.value,
        "beside": score.beside,
        "precision": "fp32",
        "train_seconds": score.seconds,
        "trained_params": score.params,
        "peak_memory_mb": score.memory_mb,
        "kind": BASELINE,
    }


def _of_score(score: BaselineScore, keys: Sequence[str]) -> Row:
    rate = "trainer.learning_rate"
    return {
        "config_id": score.id,
        "n_seeds": len(score.seeds) or None,
        "mean": score.score.value,
        "std": stdev(score.runs) if len(score.runs) > 1 else None,
        "ci_low": score.score.ci_low,
        "ci_high": score.score.ci_high,
        "train_seconds": score.seconds,
        "trained_params": score.params,
        "kind": BASELINE,
        **({rate: score.learning_rate} if rate in keys else {}),
    }
