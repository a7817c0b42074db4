"""Whether quotes of a text file stand around cells or belong to the texts, by counting cells.

Programs that quote put quotes around a cell, and double those inside of it: where a separator, a
quote or a line end in the text needs it, or around every cell of a column. Files that know no
quoting (KorSTS, STS-B) have lone quotes, and cells that fit as they stand.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sweep.data.columns import NO_SCORE
from sweep.data.labels import TRUTH
from sweep.data.reading import Form, Reading, cells_of, tidy

_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?\s*", re.IGNORECASE)
#: What else stands in a column of scores.
_OTHERS = NO_SCORE | {word.lower() for word in TRUTH}

#: A quote of a text, as Spark and MySQL write it.
_ESCAPED = r"\""

#: How badly a form fits, smaller is better: columns that are not found; cells and rows that speak
#: against it; rows alone; and what is less usual.
Misfit = tuple[int, int, int, int]


def with_quoting(lines: Sequence[str], form: Form, reading: Reading) -> tuple[Misfit, Form]:
    """The form with the quoting that fits these lines best, and how badly it fits.

    Args:
        lines: From the header on, or from the first row.
    """
    return min(_quotings(lines, form, reading), key=lambda one: one[0])


def surely_quoted(lines: Sequence[str], form: Form, reading: Reading) -> Form:
    """The form with the quoting that fits these lines best.

    Raises:
        ValueError: another one fits as well and gives other rows.
    """
    ways = sorted(_quotings(lines, form, reading), key=lambda one: one[0])
    (badness, found), others = ways[0], ways[1:]
    rivals = [one for other, one in others if other[:-1] == badness[:-1]]
    if any(one.quoting != found.quoting for one in rivals) and _across("".join(lines), form):
        raise ValueError(
            "the quotes can be read in two ways: around a cell of several lines, or as signs of "
            "two texts; data.quoting=true means the first, data.quoting=false the second"
        )
    return found


def _across(text: str, form: Form) -> bool:
    return _Quoted.of(text, replace(form, quoting=True)).across > 0


def _quotings(lines: Sequence[str], form: Form, reading: Reading) -> list[tuple[Misfit, Form]]:
    text = "".join(lines)
    around = [
        _with_quotes(lines, text, one, reading) for one in _ways_to_quote(text, form, reading)
    ]
    if around and (reading.quoting or '"' not in text):
        return around
    plain = replace(form, quoting=False)
    rows = _Rows.of(lines, plain, reading)
    # Against the best rival, whose quotes would have to be there by chance.
    best = min(around, key=lambda one: one[0], default=None)
    needed = _Quoted.of(text, best[1]).needed if best is not None else 0
    return [*around, ((rows.unnamed, rows.misfits + needed, rows.misfits, 1), plain)]


def _ways_to_quote(text: str, form: Form, reading: Reading) -> list[Form]:
    if reading.quoting is False or (
        # Without any in sight, files with tabs have none below, as most of their kind.
        reading.quoting is None and '"' not in text and form.separator == "\t"
    ):
        return []
    ways = [replace(form, quoting=True)]
    if _ESCAPED in text:
        ways += [replace(one, escapes=True) for one in ways]
    if f'{form.separator} "' in text:
        ways += [replace(one, blanks=True) for one in ways]
    return ways


def _with_quotes(
    lines: Sequence[str], text: str, form: Form, reading: Reading
) -> tuple[Misfit, Form]:
    """How badly it fits that quotes stand around cells."""
    rows, quoted = _Rows.of(lines, form, reading), _Quoted.of(text, form)
    unusual = quoted.unusual(form, rows)
    return (rows.unnamed, rows.misfits + quoted.lone, rows.misfits, unusual), form


@dataclass(frozen=True)
class _Quoted:
    """Cells between quotes, as those who quote would have written them.

    `needed` ones hold a doubled quote or a separator, `across` lines end inside, `lone` cells have
    quotes that stand otherwise.
    """

    all: int
    needed: int
    across: int
    lone: int

    @classmethod
    def of(cls, text: str, form: Form) -> _Quoted:
        cut, end = re.escape(form.separator), form.line_end
        # Possessive: what was passed is not tried again, however many quotes there are.
        held = r'[^"\\]*+(?:(?:""|\\.)[^"\\]*+)*+' if form.escapes else '[^"]*+(?:""[^"]*+)*+'
        # With the quote in front, the search skips all that holds none.
        begins = rf'"(?:(?<=\A")|(?<={end}")|(?<={cut}"))'
        if form.blanks:
            begins = rf'(?:\A|(?<={end})|(?<={cut})) *"'
        cell = re.compile(rf'{begins}({held})"(?={cut}|\r?{end}|\Z)', re.DOTALL)
        inner = [match[1] for match in cell.finditer(text)]
        asked = re.compile(rf'\A\Z|""|[\r\n]|{cut}' + (r'|\\"' if form.escapes else ""))
        needed = sum(bool(asked.search(one)) for one in inner if end not in one)
        rest = cell.sub("", text).replace(_ESCAPED if form.escapes else "\0", "")
        others = re.split(f"{cut}|{end}", rest) if '"' in rest else []
        across = sum(end in one for one in inner)
        return cls(len(inner), needed, across, sum('"' in one for one in others))

    def unusual(self, form: Form, rows: _Rows) -> int:
        """0 where quoting is the likelier of two that fit alike, 2 where it is not."""
        if form.escapes and not self.all:
            return 2
        if self.across:
            # Lines that are whole rows by themselves: a lone quote in each of two texts.
            return 0 if rows.width == 1 else 2
        # A few cells of a column between quotes that nothing asks for: in files with tabs, texts.
        return 0 if form.separator != "\t" or self.all >= rows.count / 2 else 2


@dataclass(frozen=True)
class _Rows:
    """Rows in a form; `misfits` have other cells than header and scores ask for.

    `unnamed` columns are sought and not in the header.
    """

    count: int
    width: int
    misfits: int
    unnamed: int

    @classmethod
    def of(cls, lines: Sequence[str], form: Form, reading: Reading) -> _Rows:
        try:
            rows = [row for row in cells_of(lines, form, strict=False) if row]
        except csv.Error:
            return cls(0, 0, len(lines), len(reading.names))
        if not rows:
            return cls(0, 0, 0, 0)
        header = [tidy(cell) for cell in rows[0]] if reading.has_header else None
        width, label = _asked_for(header, reading)
        fitting = sum(
            (len(row) == width or row[width:] == [""] if header else len(row) >= width)
            and (label is None or len(row) <= label or _is_score(row[label]))
            for row in rows
        )
        # The header itself holds no score.
        misfits = len(rows) - fitting - (header is not None and label is not None)
        unnamed = len(reading.names) - reading.found_in(header) if header else 0
        return cls(len(rows), len(rows[0]), misfits, unnamed)


def _asked_for(header: Sequence[str] | None, reading: Reading) -> tuple[int, int | None]:
    """How many cells a row needs, and the place of its score."""
    label = reading.names[-1] if reading.names else ()
    places = [name for name in label if isinstance(name, int)]
    if header is not None:
        places += [header.index(name) for name in label if name in header]
        return len(header), next(iter(places), None)
    sought = [one[0] for one in reading.names if isinstance(one[0], int)]
    return max(sought, default=0) + 1, next(iter(places), None)


def _is_score(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None or cell.strip().lower() in _OTHERS
