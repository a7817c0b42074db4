"""`cost`: what scoring pairs takes in every form of an exported adapter."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sweep.core.commands import command
from sweep.execute.cores import physical_cores
from sweep.export.cost import Cost, cost_words, costs_of
from sweep.export.formats import FORMATS, formats_in, why_not


def show_cost(
    folder: Path, console: Console, *, base: str | None, seconds: float, as_json: bool
) -> None:
    """Measure on one thread and on all cores, and print a table and a sentence, or JSON.

    Args:
        seconds: For batches, and again for pairs one by one, of each form.

    Raises:
        ExportError: the folder is not an exported one, or its base is not to be had.
    """
    threads = sorted({1, len(physical_cores())})
    costs = costs_of(folder, threads=threads, base=base, seconds=seconds)
    if as_json:
        print(json.dumps([dataclasses.asdict(cost) for cost in costs]))
        return
    console.print(_table(costs))
    for line in [*cost_words(costs), *_missing(folder)]:
        console.print(line, soft_wrap=True, markup=False)


def _table(costs: Sequence[Cost]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("form")
    names = ("threads", "pairs/s", "ms a pair", "p95", "memory MB", "file MB")
    for name in names:
        table.add_column(name, justify="right")
    for cost in costs:
        table.add_row(
            "adapter on base" if cost.name == "adapter" else cost.name,
            str(cost.threads),
            f"{cost.pairs_per_second:.0f}",
            f"{cost.median_ms:.1f}",
            f"{cost.p95_ms:.1f}",
            "" if cost.peak_mb is None else f"{cost.peak_mb:.0f}",
            "" if cost.file_mb is None else f"{cost.file_mb:.1f}",
        )
    return table


def _missing(folder: Path) -> list[str]:
    """Forms that are not there, or can't be used here."""
    lines = [f"{name} is left out: {why}" for name in formats_in(folder) if (why := why_not(name))]
    lacking = [name for name in FORMATS if name not in formats_in(folder)]
    if lacking:
        flags = [f"--{'merge' if name == 'merged' else name}" for name in lacking]
        lines.append(f"not written: {', '.join(lacking)} ({command('export', 'STUDY', *flags)})")
    return lines
