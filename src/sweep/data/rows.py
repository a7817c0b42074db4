"""Which rows of a table count: those that `data.where` asks for, with cells, and with a score."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.core.words import counted, excerpt
from sweep.data.columns import Named, column_of, column_or_none, is_missing
from sweep.data.findings import Finding, Split

#: How files name the splits; the first name of each is ours.
_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "dev": ("dev", "validation", "valid", "val", "development", "eval"),
    "test": ("test", "testing"),
}
_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class LeftOut:
    """Rows of a source that are no pairs of a split, and lines above the header of its file."""

    empty: int = 0
    unscored: int = 0
    elsewhere: int = 0
    lines_above: int = 0

    @property
    def in_words(self) -> str:
        """`2 rows without any cell, 24 without a score`; nothing where all rows count."""
        rows = [
            (self.empty, "without any cell"),
            (self.unscored, "without a score"),
            (self.elsewhere, "that `data.where` does not ask for"),
        ]
        parts = [f"{counted(count, 'row')} {why}" for count, why in rows if count]
        if self.lines_above:
            parts.append(f"{counted(self.lines_above, 'line')} above the header")
        return ", ".join(parts)

    def and_more(self, other: LeftOut) -> LeftOut:
        """Of two parts of one source."""
        return LeftOut(
            self.empty + other.empty,
            self.unscored + other.unscored,
            self.elsewhere + other.elsewhere,
            self.lines_above + other.lines_above,
        )

    def found_in(self, split: Split) -> list[Finding]:
        """For the guard: what was left out, if anything."""
        if not self.in_words:
            return []
        rows = self.empty + self.unscored + self.elsewhere
        sentence = f"left out of {split}: {self.in_words}"
        return [Finding("left_out", "info", (split,), sentence, rows)]


NONE_LEFT_OUT = LeftOut()


def rows_that_count(
    table: pd.DataFrame, data: Data, split: Split, origin: str, *, scored: bool = True
) -> tuple[pd.DataFrame, LeftOut]:
    """The rows that are pairs of a split, and how many are not.

    Args:
        scored: Whether a row needs a score.

    Raises:
        DataError: there is none; `data.where` names a column that is not there, or leaves no row;
            or rows have no score, and `data.unscored` is `error`.
    """
    refuse_none(table, origin)
    wanted = _wanted(data.where or {}, split)
    there = ~_empty(table)
    kept = table[there]
    asked = _asked_for(kept, wanted, origin)
    kept = kept[asked]
    has_score = _scored(kept, data, origin) if scored else np.ones(len(kept), dtype=bool)
    left = LeftOut(
        int((~there).sum()),
        int((~has_score).sum()),
        int((~asked).sum()),
        table.attrs.get("lines_above", 0),
    )
    if not has_score.any():
        raise DataError(
            "A split must have rows.",
            value=f"of {counted(len(table), 'row')} in {origin}, none is left: {left.in_words}",
            way_out="name a file that holds pairs, or another column with `data.label=`",
        )
    return kept[has_score], left


def refuse_none(table: pd.DataFrame, origin: str) -> None:
    """Refuse a table without rows."""
    if len(table) == 0:
        raise DataError(
            "A split must have rows.",
            value=f"rows can't be read in {origin}: it holds a header at most",
            way_out="name a file that holds pairs",
        )


def _empty(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows without any cell."""
    filled = np.zeros(len(table), dtype=bool)
    for place in range(table.shape[1]):
        rows = np.flatnonzero(~filled)
        # Most rows are seen to be filled by their first cell.
        cells = table.iloc[rows, place].tolist()
        filled[rows[[not is_missing(cell) for cell in cells]]] = True
    return ~filled


def _scored(table: pd.DataFrame, data: Data, origin: str) -> NDArray[np.bool_]:
    """Rows with a score."""
    cells = column_of(table, data.label, origin).cells
    scored = np.array([not is_missing(cell, label=True) for cell in cells], dtype=bool)
    if data.unscored == "error" and not scored.all():
        first = table.index[int(np.argmin(scored))]
        raise DataError(
            "Every pair must have a score.",
            value=f"{counted(int((~scored).sum()), 'row')} of {len(scored):,} in {origin} "
            f"{'has' if (~scored).sum() == 1 else 'have'} none, first in data row {first}",
            way_out="`data.unscored=drop` leaves them out; or name another column with "
            "`data.label=`",
        )
    return scored


@dataclass(frozen=True)
class RowChoice:
    """Which rows are pairs of a split, of a table that comes in parts.

    `wanted` is what each column must hold; in those that are `folded`, no cell of any part holds it
    but for upper and lower case.
    """

    wanted: Mapping[str, Sequence[Any]]
    folded: frozenset[str] = frozenset()

    @classmethod
    def of(cls, data: Data, split: Split, parts: Callable[[], Iterable[pd.DataFrame]]) -> RowChoice:
        """Args:
        parts: Gives the parts of the table; asked for only where columns must hold something.
        """
        wanted = _wanted(data.where or {}, split)
        exact: set[str] = set()
        for part in parts() if wanted else ():
            for column, values in wanted.items():
                if column not in exact and _held(part, column, values, folded=False).any():
                    exact.add(column)
        return cls(wanted, frozenset(wanted) - exact)

    def masks(self, part: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Rows `[N]` that hold something, and those that are asked for."""
        asked = np.ones(len(part), dtype=bool)
        for column, values in self.wanted.items():
            asked &= _held(part, column, values, folded=column in self.folded)
        return ~_empty(part), asked


def _held(
    part: pd.DataFrame, column: str, values: Sequence[Any], *, folded: bool
) -> NDArray[np.bool_]:
    cells = map(_as_text, column_or_none(part, _named(column, part), "").cells)
    texts = {_as_text(value) for value in values}
    if folded:
        texts = {text.casefold() for text in texts}
        cells = map(str.casefold, cells)
    return np.array([cell in texts for cell in cells], dtype=bool)


# -- data.where ----------------------------------------------------------------------------------


def _wanted(where: Mapping[str | int, Any], split: Split) -> dict[str, list[Any]]:
    """What each column must hold in the rows of a split."""
    own: Split = "train" if split == "holdout" else split
    found: dict[str, list[Any]] = {}
    for column, value in where.items():
        if isinstance(value, Mapping) and column in _SPLITS:
            continue
        # One line for all splits: each has its own name there.
        values = value if isinstance(value, list) else [value]
        found[str(column)] = [*_NAMES[own]] if values == ["train"] else values
    own_part = where.get(own)
    for column, value in (own_part if isinstance(own_part, Mapping) else {}).items():
        found[column] = value if isinstance(value, list) else [value]
    return found


def _asked_for(
    table: pd.DataFrame, wanted: Mapping[str, Sequence[Any]], origin: str
) -> NDArray[np.bool_]:
    kept = np.ones(len(table), dtype=bool)
    for column, values in wanted.items():
        cells = [_as_text(cell) for cell in column_of(table, _named(column, table), origin).cells]
        held = _holding(cells, {_as_text(value) for value in values})
        if not (kept & held).any():
            there = [cell for cell, counts in zip(cells, kept, strict=True) if counts]
            raise _nothing_left(column, values, there, origin)
        kept &= held
    return kept


def _holding(cells: Sequence[str], wanted: Collection[str]) -> NDArray[np.bool_]:
    """The cells that are wanted; where none is, those that are but for upper and lower case."""
    exact = np.array([cell in wanted for cell in cells], dtype=bool)
    if exact.any():
        return exact
    folded = {text.casefold() for text in wanted}
    return np.array([cell.casefold() in folded for cell in cells], dtype=bool)


def _named(column: str, table: pd.DataFrame) -> Named:
    """A number names a column only where none has that name."""
    return int(column) if column.isdigit() and column not in table.columns else column


def _as_text(value: Any) -> str:
    """`2012`, `2012.0` and the text of either are the same, and so are `True` and `true`."""
    text = unicodedata.normalize("NFC", str(value).strip())
    if isinstance(value, bool) or text in ("True", "TRUE"):
        return text.lower()
    try:
        return f"{float(text):g}" if text[:1] in "+-.0123456789" else text
    except ValueError:
        return text


def _nothing_left(
    column: str, values: Sequence[Any], cells: Sequence[str], origin: str
) -> DataError:
    some = ", ".join(
        f"{excerpt(cell)} ({count:,} times)" for cell, count in Counter(cells).most_common(6)
    )
    return DataError(
        f"`data.where` must leave rows of {origin}.",
        value=f"no row of column `{column}` holds {' or '.join(excerpt(v) for v in values)}; "
        f"it holds {some or 'nothing'}",
        way_out="name the value of each split: "
        f"`data.where={{train: {{{column}: VALUE}}, dev: {{{column}: VALUE}}}}`",
    )
