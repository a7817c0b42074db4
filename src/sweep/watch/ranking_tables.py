"""The leaderboard as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sweep.core.metric import PEARSON, Metric
from sweep.core.words import cell_text, columns_of, compact
from sweep.study.rows import ConfigRow, by_standing


def ranked_groups(
    rows: Sequence[ConfigRow], *, keys: Sequence[str], metric: Metric = PEARSON
) -> Group:
    """The leaderboard for the terminal, a table for each group of rows that can be compared."""
    groups = by_standing(rows)
    parts: list[Text | Table] = []
    for title, members in groups:
        parts += [Text(""), Text(title, style="italic")] if len(groups) > 1 else [Text("")]
        parts += [ranked_table(members, keys=keys, metric=metric), *_unsteady(members)]
    return Group(*parts[1:])


def ranked_table(
    rows: Sequence[ConfigRow], *, keys: Sequence[str], metric: Metric = PEARSON, limit: int = 20
) -> Table:
    """One group of the leaderboard."""
    # Narrow on purpose: with five searched keys it fits 80 columns.
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    add_columns(table, "#", metric.word, "95 % interval", "tied")
    add_columns(table, *columns_of(keys), folded=True)
    add_columns(table, "LoRA", "s")
    for row in rows[:limit]:
        table.add_row(*map(Text, _cells(row, keys)))
    return table


def _unsteady(rows: Sequence[ConfigRow], limit: int = 20) -> list[Text]:
    """A line each below the table: a column would be empty nearly always."""
    return [
        Text(f"#{row.rank} is unsteady: {row.unsteady}") for row in rows[:limit] if row.unsteady
    ]


def add_columns(table: Table, *names: str, folded: bool = False) -> None:
    """Columns of numbers, which stay whole, or of settings: a long one takes several lines."""
    for name in names:
        table.add_column(name, justify="right", no_wrap=not folded, overflow="fold")


def _cells(row: ConfigRow, keys: Sequence[str]) -> list[str]:
    is_known = row.ci_low is not None and row.ci_high is not None
    return [
        str(row.rank),
        f"{row.mean:.4f}",
        f"{row.ci_low:.3f} {row.ci_high:.3f}" if is_known else "",
        "yes" if row.tied_with_best else "",
        *(cell_text(own, row.values) for own in columns_of(keys).values()),
        "" if row.lora_params is None else compact(row.lora_params),
        "" if row.train_seconds is None else f"{row.train_seconds:.0f}",
    ]
