"""`rank_use.csv`: how much of its rank every kept adapter uses, by layer and module."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import pandas as pd

from sweep.core.errors import StudyError
from sweep.core.files import write_text
from sweep.study.files import StudyFiles
from sweep.study.reading import missing_is_none, read_csv, to_csv


@dataclass(frozen=True)
class ModuleUse:
    """One adapted module of one kept adapter.

    `layer` is None outside of the numbered layers, `effective_rank` for an update of zero; `norm`
    is Frobenius'.
    """

    config_id: str
    run_id: str
    layer: int | None
    module: str
    rank: int
    effective_rank: float | None
    norm: float


@dataclass(frozen=True)
class RankUse:
    """How much of one rank the kept adapters use, over their modules: mean, least and most."""

    rank: int
    mean: float
    least: float
    most: float
    num_runs: int


_COLUMNS = [field.name for field in dataclasses.fields(ModuleUse)]
#: Whole numbers that may be missing stay whole.
_TYPES = {"layer": "Int64", "rank": "Int64", "effective_rank": "Float64", "norm": "Float64"}


def read_rank_use(files: StudyFiles) -> tuple[ModuleUse, ...]:
    """What is known already; a file that can't be read counts as nothing, and is made again."""
    try:
        table = read_csv(files.rank_use)[_COLUMNS].astype(_TYPES)
    except (StudyError, ValueError, KeyError, TypeError):
        return ()
    return tuple(ModuleUse(**row) for row in missing_is_none(table))


def write_rank_use(files: StudyFiles, rows: Sequence[ModuleUse]) -> None:
    table = pd.DataFrame([dataclasses.asdict(row) for row in rows], columns=_COLUMNS)
    write_text(files.rank_use, to_csv(table.astype(_TYPES)))


def use_by_rank(rows: Sequence[ModuleUse]) -> list[RankUse]:
    """The lowest rank first; an update of zero tells nothing of its rank."""
    found: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        if row.effective_rank is not None:
            found[row.rank].append((row.run_id, row.effective_rank))
    return [_used(rank, found[rank]) for rank in sorted(found)]


def mean_by_place(
    rows: Sequence[ModuleUse], measure: Literal["effective_rank", "norm"]
) -> Mapping[tuple[int | None, str], float | None]:
    """Means over the kept adapters by layer and module; None where nothing is known of one."""
    found: dict[tuple[int | None, str], list[float]] = {}
    for row in rows:
        values = found.setdefault((row.layer, row.module), [])
        value: float | None = getattr(row, measure)
        values += [] if value is None else [value]
    return {place: fmean(values) if values else None for place, values in found.items()}


def _used(rank: int, of_runs: Sequence[tuple[str, float]]) -> RankUse:
    used = [value for _, value in of_runs]
    runs = {run_id for run_id, _ in of_runs}
    return RankUse(rank, fmean(used), min(used), max(used), len(runs))
