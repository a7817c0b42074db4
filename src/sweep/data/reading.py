"""How a file is to be read, the form that a text file has, and its cells in that form."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sweep.core.recipe import Data

#: What a backslash keeps: itself, and a quote.
_ESCAPES = ("\\\\", '\\"')
#: Stand for line ends inside of a cell, and for these: Unicode keeps them free.
_STAND_INS = dict(zip(("\r", "\n", *_ESCAPES), "\ufdd0\ufdd1\ufdd2\ufdd3", strict=True))
#: Stands for a separator of several characters: ASCII's own, which no text holds.
_UNIT = "\x1f"


@dataclass(frozen=True)
class Reading:
    """How a file is to be read; None is to be found out.

    Args:
        names: Columns that are sought: each by one of several names or numbers.
    """

    separator: str | None = None
    header: bool | None = None
    quoting: bool | None = None
    encoding: str = "utf-8-sig"
    skip_lines: int | None = None
    names: tuple[tuple[str | int, ...], ...] = ()

    @classmethod
    def of(cls, data: Data) -> Reading:
        parts = (
            (data.text_a, data.label) if data.split_text else (data.text_a, data.text_b, data.label)
        )
        names = tuple(tidied(part if isinstance(part, tuple) else (part,)) for part in parts)
        return cls(
            unescaped(data.separator) if data.separator else None,
            data.header,
            data.quoting,
            data.encoding,
            data.skip_lines,
            names,
        )

    @property
    def has_header(self) -> bool:
        """As it is set; or else unless the texts are asked for by number."""
        by_number = all(isinstance(name, int) for one in self.names[:-1] for name in one)
        return not (self.names and by_number) if self.header is None else self.header

    def found_in(self, cells: Sequence[str]) -> int:
        """How many of the columns that are sought a header of these cells names."""
        tidied = {tidy(cell) for cell in cells}
        return sum(any(name in tidied for name in one) for one in self.names)


@dataclass(frozen=True)
class Form:
    """How a text file is cut into cells.

    `top` lines stand above the header or the first row; of them, `above` are not Excel's own.
    """

    separator: str
    quoting: bool
    line_end: Literal["\n", "\r"]
    top: int = 0
    above: int = 0
    #: Whether a blank may stand before an opening quote.
    blanks: bool = False
    #: Whether `\"` stands for a quote, as Spark and MySQL write it.
    escapes: bool = False


def unescaped(text: str) -> str:
    r"""As it is meant where it is typed in a shell: `\t`, `\n`."""
    return text.replace(r"\t", "\t").replace(r"\r", "\r").replace(r"\n", "\n")


def tidy(name: str) -> str:
    """The name of a column, without what surrounds it; 한글 composed, as a Mac may not have it."""
    return unicodedata.normalize("NFC", name.strip().strip("\ufeff\u200b").strip())


def tidied(names: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Names and numbers of columns, the names as they are compared."""
    return tuple(tidy(name) if isinstance(name, str) else name for name in names)


def numbered(names: Sequence[str]) -> list[str]:
    """Names of columns; one that stands there more than once is numbered by its place, from 0."""
    return [
        f"Unnamed: {place}" if not name else f"{name}#{place}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def cells_of(lines: Iterable[str], form: Form, *, strict: bool = True) -> Iterator[list[str]]:
    """The cells of each row; a blank line is a row without cells.

    Args:
        strict: Refuse text behind a closing quote, and a quote that is never closed.

    Raises:
        csv.Error: what `strict` refuses, or a cell of more letters than `csv` takes.
    """
    cut = form.separator if len(form.separator.encode()) == 1 else _UNIT
    rows = csv.reader(
        _prepared(lines, form, cut),
        delimiter=cut,
        quoting=csv.QUOTE_MINIMAL if form.quoting else csv.QUOTE_NONE,
        skipinitialspace=form.blanks,
        strict=strict,
    )
    inner = "\n" if form.line_end == "\r" else "\r"
    back = {_STAND_INS[inner]: inner}
    if form.escapes:
        back |= {_STAND_INS[sign]: sign[1] for sign in _ESCAPES}
    if cut != form.separator:
        back[cut] = form.separator
    for row in rows:
        yield [_restored(cell, back) for cell in row]


def _restored(cell: str, back: Mapping[str, str]) -> str:
    for stand_in, sign in back.items():
        if stand_in in cell:
            cell = cell.replace(stand_in, sign)
    return cell


def _prepared(lines: Iterable[str], form: Form, cut: str) -> Iterator[str]:
    """Lines as `csv` takes them: cut by one character, without line ends of the other kind."""
    for line in lines:
        changed = line if cut == form.separator else line.replace(form.separator, cut)
        if form.escapes and "\\" in changed:
            for sign in _ESCAPES:
                changed = changed.replace(sign, _STAND_INS[sign])
        if form.line_end == "\r":
            yield changed.replace("\n", _STAND_INS["\n"])
        elif "\r" in changed:
            end = "\r\n" if changed.endswith("\r\n") else ""
            yield changed.removesuffix(end).replace("\r", _STAND_INS["\r"]) + end
        else:
            yield changed
