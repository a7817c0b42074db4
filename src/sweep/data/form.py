"""The form of a text file, found out by looking at its cells.

What was set holds. Else it is found by what is sought in the file: the names of the columns, in
the line that is their header, and the numbers of the scores below it.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from sweep.data.quotes import surely_quoted, with_quoting
from sweep.data.reading import Form, Reading, cells_of, free_letters, unescaped

#: Lines among which the header is sought.
_TOP = 50
#: Rows by which separators are told from one another.
_ROWS = 500
_SEPARATORS = ("\t", ",", ";", "|")
#: Excel's own line for the separator of a file.
_TOLD = re.compile(r'"?sep=(.|\\t)"?[,;\t]*', re.IGNORECASE)


# A sweep reads each of its files several times.
@functools.lru_cache(maxsize=4)
def found_out(sample: str, reading: Reading, *, whole: bool) -> Form:
    """The form of the file that begins with `sample`.

    Args:
        whole: Whether the file ends with it.

    Raises:
        ValueError: two ways of quoting fit alike and give other rows.
    """
    line_end = _line_end(sample)
    lines = [f"{line}{line_end}" for line in sample.split(line_end)]
    last = lines.pop()
    if whole and last != line_end:
        lines.append(last.removesuffix(line_end))
    told = _TOLD.fullmatch(lines[0].strip("\r\n ")) if lines else None
    separator = reading.separator or (unescaped(told[1]) if told else None)
    start = Form(
        separator or "",
        reading.quoting is not False,
        line_end,
        top=int(told is not None),
        stand_ins=free_letters(sample),
    )
    tried = [
        _below_top(lines, replace(start, separator=one), reading)
        for one in ((separator,) if separator else _SEPARATORS)
    ]
    found = max(count for count, _ in tried)
    forms = [form for count, form in tried if count == found]
    if separator is None and found == 0:
        likely = _likely_separator(lines[forms[0].top :][:_TOP], forms[0])
        # By number, cells are sought that rows must have; where many have them, the likely one.
        forms.sort(key=lambda form: form.separator != likely)
        forms = forms if reading.by_number else forms[:1]
    if len(forms) > 1:
        judged = [with_quoting(lines[form.top : form.top + _ROWS], form, reading) for form in forms]
        forms = [min(judged, key=lambda one: one[0][:-1])[1]]
    return surely_quoted(lines[forms[0].top :], forms[0], reading)


def _line_end(sample: str) -> Literal["\n", "\r"]:
    """That of the first line: inside of cells, the other kind may stand."""
    first = re.search(r"\r\n|\n|\r", sample)
    return "\r" if first and first[0] == "\r" else "\n"


def _below_top(lines: Sequence[str], form: Form, reading: Reading) -> tuple[int, Form]:
    """The form with the lines above header or first row, and how many names the header holds."""
    own = form.top
    if reading.skip_lines is not None or not reading.has_header:
        top = max(own, reading.skip_lines or 0)
        found = reading.found_in(_cells(lines[top : top + 1], form)) if reading.has_header else 0
        return found, replace(form, top=top)
    # A cell of the header may hold a line end.
    counts = [reading.found_in(_cells(lines[own:_TOP], form))]
    counts += [reading.found_in(_cells([line], form)) for line in lines[own + 1 : _TOP]]
    found = max(counts)
    above = counts.index(found) if found else 0
    skipped = [line for line in lines[own : own + above] if line.strip()]
    return found, replace(form, top=own + above, above=len(skipped))


def _cells(lines: Sequence[str], form: Form) -> list[str]:
    """The first row of these lines."""
    try:
        return next(cells_of(lines, replace(form, blanks=form.quoting), strict=False), [])
    except csv.Error:
        return lines[0].split(form.separator)


def _likely_separator(lines: Sequence[str], form: Form) -> str:
    """Where no column is found by name: a tab if the lines hold tabs (also in files named .csv),
    else the `,` or `;` of the first, else its `|`.

    Where that line has both, as a pair without header above it may, it is the one that cuts more
    lines into as many cells as the first; then the one with fewer spaces behind it, as in prose.
    """
    if sum("\t" in line for line in lines) > len(lines) / 2:
        return "\t"
    first, sample = "".join(lines[:1]), "".join(lines)
    there = [separator for separator in ",;" if separator in first] or [
        *("|" if "|" in first else ",;")
    ]

    def consistency(separator: str) -> tuple[int, int]:
        try:
            rows = cells_of(lines, replace(form, separator=separator, quoting=True), strict=False)
            widths = [len(row) for row in rows if row]
        except csv.Error:
            return 0, 0
        alike = sum(width == widths[0] > 1 for width in widths)
        return alike, sample.count(separator) - sample.count(f"{separator} ")

    return max(there, key=consistency)
