"""The configs that trade objectives against each other, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from sweep.core.metric import PEARSON, Metric
from sweep.core.words import compact, duration, name_of, value_text
from sweep.loop.objectives import COSTS
from sweep.study.rows import ConfigRow


def pareto_table(
    rows: Sequence[ConfigRow],
    *,
    objectives: Sequence[str],
    keys: Sequence[str],
    metric: Metric = PEARSON,
) -> Table:
    """Configs on the Pareto front, best score first.

    Args:
        objectives: Measurements that are sought, in order.
        keys: Searched keys.
    """
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for name in (*(_title(name, metric) for name in objectives), *map(name_of, keys)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        values = [_value(name, row.measure(name)) for name in objectives]
        table.add_row(*values, *(Text(value_text(row.values[key])) for key in keys))
    return table


def _title(objective: str, metric: Metric) -> str:
    titles = {metric.name: metric.word, "lora_params": "LoRA", "peak_memory_mb": "MB"}
    return titles.get(objective, "time")


def _value(objective: str, value: float | None) -> str:
    if value is None:
        return ""
    if objective not in COSTS:
        return f"{value:.4f}"
    if objective == "train_seconds":
        return duration(value)
    return compact(value) if objective == "lora_params" else f"{value:,.0f}"
