"""`rank_use.csv`: how much of its rank every kept adapter uses, by layer and module."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sweep.core.errors import StudyError
from sweep.core.files import write_text
from sweep.study.files import StudyFiles
from sweep.study.reading import missing_is_none, read_csv


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
    write_text(files.rank_use, table.astype(_TYPES).to_csv(index=False))
