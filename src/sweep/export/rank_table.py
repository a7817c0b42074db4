"""`rank_use.csv`: how much of its rank every kept adapter uses, by layer and module."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sweep.core.files import write_text
from sweep.loop.trial import Run
from sweep.lora.rank_use import rank_use

logger = logging.getLogger(__name__)

COLUMNS = ("config_id", "run_id", "layer", "module", "rank", "effective_rank", "norm")


def write_rank_use(folder: Path, runs: Sequence[Run]) -> pd.DataFrame:
    """Write and return a row for each adapted module of each run that kept its adapter.

    What an earlier start has written is not computed again.
    """
    path = folder / "rank_use.csv"
    table = _earlier(path)
    known = set(table["run_id"])
    rows = [row for run in runs if run.id not in known for row in _rows(folder, run)]
    table = pd.concat([table, _typed(pd.DataFrame(rows, columns=list(COLUMNS)))])
    table = table[table["run_id"].isin([run.id for run in runs])]
    write_text(path, table.to_csv(index=False))
    return table


def rank_line(table: pd.DataFrame) -> list[str]:
    """How much was used on average, by rank."""
    used = table.dropna(subset=["effective_rank"]).groupby("rank")["effective_rank"].mean()
    parts = [f"r={rank} used {mean:.1f}" for rank, mean in used.items()]
    return [f"ranks    {', '.join(parts)} on average (rank_use.csv)"] if parts else []


def _rows(folder: Path, run: Run) -> list[dict[str, object]]:
    try:
        layers = rank_use(folder / "runs" / run.id / "adapter", run.recipe.lora)
    except (OSError, ValueError) as error:
        logger.warning("The ranks of %s can't be read: %s", run.id, error)
        return []
    names = {"config_id": run.recipe.config_id, "run_id": run.id}
    return [{**names, **dataclasses.asdict(layer)} for layer in layers]


def _earlier(path: Path) -> pd.DataFrame:
    """What is there already; a file that can't be read counts as nothing."""
    try:
        return _typed(pd.read_csv(path, dtype={"config_id": str, "run_id": str})[list(COLUMNS)])
    except (OSError, ValueError, KeyError):
        return _typed(pd.DataFrame(columns=list(COLUMNS)))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers that may be missing stay whole."""
    numbers = {"layer": "Int64", "rank": "Int64", "effective_rank": "Float64", "norm": "Float64"}
    return table.astype({"config_id": "object", "run_id": "object", "module": "object", **numbers})
