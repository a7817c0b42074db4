"""How a file is to be read, the form that a text file has, and its cells in that form."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from sweep.core.recipe import Data

#: What a backslash keeps: itself, and a quote.
_ESCAPES = ("\\\\", '\\"')
#: What `csv` must not see, in the order of a form's stand-ins; a separator of several letters last.
_HIDDEN = ("\r", "\n", *_ESCAPES)

#: Why rows, by their numbers from 1, can't be cut into cells; None refuses them.
Faults = dict[int, str] | None


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
        other = None if data.split_text else data.text_b
        parts = [data.text_a, *([] if other is None else [other]), data.label]
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
        return not self.by_number if self.header is None else self.header

    @property
    def by_number(self) -> bool:
        """Whether the texts are asked for by number."""
        texts = [name for one in self.names[:-1] for name in one]
        return bool(texts) and all(isinstance(name, int) for name in texts)

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
    #: Letters that stand for others while a line is cut: none of them is in the file.
    stand_ins: str = "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4"

    @property
    def cut(self) -> str:
        """The one letter that `csv` cuts at."""
        return self.separator if len(self.separator) == 1 else self.stand_ins[-1]

    def hidden(self, sign: str) -> str:
        """The letter that stands for a sign."""
        return self.stand_ins[_HIDDEN.index(sign)]


def free_letters(text: str) -> str:
    """Stand-ins that the text does not hold, of those that Unicode keeps free for programs."""
    free = (chr(code) for code in (*range(0xFDD0, 0xFDF0), *range(0xE000, 0xF900)))
    return "".join(islice((letter for letter in free if letter not in text), len(_HIDDEN) + 1))


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
    hidden: dict[str, str] = {}
    rows = csv.reader(
        _prepared(lines, form, hidden),
        delimiter=form.cut,
        quoting=csv.QUOTE_MINIMAL if form.quoting else csv.QUOTE_NONE,
        skipinitialspace=form.blanks,
        strict=strict,
    )
    for row in rows:
        # Most files have nothing to hide.
        yield [_restored(cell, hidden) for cell in row] if hidden else row


def _restored(cell: str, hidden: Mapping[str, str]) -> str:
    for stand_in, sign in hidden.items():
        if stand_in in cell:
            cell = cell.replace(stand_in, sign)
    return cell


def _prepared(lines: Iterable[str], form: Form, hidden: dict[str, str]) -> Iterator[str]:
    """Lines as `csv` takes them: cut by one letter, without line ends of the other kind.

    Args:
        hidden: Told which letters stand for what.
    """
    other = "\n" if form.line_end == "\r" else "\r"
    signs = {**dict.fromkeys(_ESCAPES if form.escapes else (), "\\"), other: ""}
    if len(form.separator) > 1:
        hidden[form.cut] = form.separator
    is_plain = not form.escapes and len(form.separator) == 1
    for line in lines:
        if is_plain and other not in line:
            yield line
            continue
        end = "\r\n" if form.line_end == "\n" and line.endswith("\r\n") else ""
        changed = line.removesuffix(end)
        if len(form.separator) > 1:
            changed = changed.replace(form.separator, form.cut)
        for sign, escape in signs.items():
            if sign in changed:
                changed = changed.replace(sign, form.hidden(sign))
                hidden[form.hidden(sign)] = sign.removeprefix(escape)
        yield changed + end
