"""`cost`: what scoring pairs takes in every form of an exported adapter."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sweep.core.commands import command
from sweep.execute.cores import physical_cores
from sweep.export.cost import costs_of
from sweep.export.cost_section import note_costs
from sweep.export.formats import FORMATS, formats_in, why_not
from sweep.study.files import ExportedFiles
from sweep.study.scoring_costs import HEADS, ScoringCosts


def show_cost(
    folder: Path, console: Console, *, base: str | None, seconds: float, as_json: bool
) -> None:
    """Measure on one thread and on all cores, and print a table and a sentence, or JSON.

    The folder's card shows it from now on, and the report of a study whose `best/` it is.

    Args:
        seconds: For batches, and again for pairs one by one, of each form.

    Raises:
        ExportError: the folder is not an exported one, or its base is not to be had.
    """
    threads = sorted({1, len(physical_cores())})
    found = costs_of(folder, threads=threads, base=base, seconds=seconds)
    note_costs(ExportedFiles(folder), found)
    if as_json:
        print(json.dumps([dataclasses.asdict(cost) for cost in found.costs]))
        return
    console.print(_table(found))
    for line in [found.sentence, *_missing(folder)]:
        console.print(line, soft_wrap=True, markup=False)


def _table(found: ScoringCosts) -> Table:
    first, *others = HEADS
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    for cost in found.costs:
        table.add_row(*cost.cells)
    return table


def _missing(folder: Path) -> list[str]:
    """Forms that are not there, or can't be used here."""
    lines = [f"{name} is left out: {why}" for name in formats_in(folder) if (why := why_not(name))]
    lacking = [name for name in FORMATS if name not in formats_in(folder)]
    if lacking:
        flags = [f"--{'merge' if name == 'merged' else name}" for name in lacking]
        lines.append(f"not written: {', '.join(lacking)} ({command('export', 'STUDY', *flags)})")
    return lines
