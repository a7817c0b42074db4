"""The configs that trade objectives against each other, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from sweep.watch.console import compact, duration, short


def pareto_table(
    rows: Sequence[Mapping[Any, Any]], *, objectives: Sequence[str], keys: Sequence[str]
) -> Table:
    """Rows of `leaderboard.csv` on the Pareto front, best Pearson first.

    Args:
        objectives: Measurements that are sought, in order.
        keys: Searched keys.
    """
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for name in (*map(_title, objectives), *map(short, keys)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        values = [_value(name, row) for name in objectives]
        table.add_row(*values, *(_setting(row[key]) for key in keys))
    return table


def _title(objective: str) -> str:
    titles = {"pearson": "Pearson", "lora_params": "LoRA", "peak_memory_mb": "MB"}
    return titles.get(objective, "time")


def _value(objective: str, row: Mapping[Any, Any]) -> str:
    if objective == "pearson":
        return f"{row['mean']:.4f}"
    number = float(row[objective])
    if objective == "train_seconds":
        return duration(number)
    return compact(number) if objective == "lora_params" else f"{number:,.0f}"


def _setting(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
