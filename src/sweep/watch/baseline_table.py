"""What there is without LoRA, beside the recommended config, as a table for the terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sweep.core.metric import Metric
from sweep.core.words import compact
from sweep.stats.interval import Interval
from sweep.study.baselines import Baselines, Cost
from sweep.watch.ranking_tables import add_columns


def baseline_table(found: Baselines, metric: Metric) -> Group:
    """A row for LoRA and for each baseline; nothing where none has a score."""
    if not found.scores or found.mean is None:
        return Group()
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column("without LoRA", overflow="fold")
    add_columns(table, metric.word, "LoRA ahead by", "trained", "s", "MB")
    table.add_row(*_cells(f"LoRA {found.config}", found.mean, None, found.cost))
    for score in found.told:
        table.add_row(*_cells(score.name, score.score.value, score.lead, score.cost))
    return Group(Text(""), table)


def _cells(name: str, score: float, lead: Interval | None, cost: Cost) -> list[Text]:
    ahead = "" if lead is None else f"{lead.value:+.3f} ({lead.ci_low:+.3f} to {lead.ci_high:+.3f})"
    cells = [
        name,
        f"{score:.4f}",
        ahead,
        "" if cost.params is None else compact(cost.params),
        "" if cost.seconds is None else f"{cost.seconds:.0f}",
        "" if cost.memory_mb is None else f"{cost.memory_mb:,.0f}",
    ]
    return [Text(cell) for cell in cells]
