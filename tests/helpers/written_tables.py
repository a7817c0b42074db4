"""Tables of pairs as `csv`, pandas and LibreOffice write them, drawn by hypothesis."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import pandas as pd
from hypothesis import assume
from hypothesis import strategies as st

#: Signs that mean something to a writer or a reader of tables, among some that do not.
SIGNS = "a가é1 \"'`,;\t|\n\r.\\#=:[{\u2028\x0b\x85"
TEXTS = st.text(SIGNS, min_size=1, max_size=8) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6
)
#: Without what needs quotes.
PLAIN_TEXTS = st.text("a가é1 \"'`.\\#:", min_size=1, max_size=8).filter(str.strip)
SCORES = st.integers(0, 50).map(lambda tenths: tenths / 10)
NAMES = ["sentence1", "sentence2", "score", "genre"]


@dataclass(frozen=True)
class Written:
    """What stands in a file, and how it was written there."""

    rows: list[list[str]]
    names: list[str]
    content: bytes
    encoding: str
    how: str

    @property
    def is_unquoted(self) -> bool:
        return self.how.endswith(f" {csv.QUOTE_NONE}")

    @property
    def cells(self) -> list[list[str | None]]:
        """What has to come back: an empty cell is none."""
        return [[cell or None for cell in row] for row in self.rows]


def by_csv(rows: list[list[str]], separator: str, end: str, quoting: int) -> str:
    file = io.StringIO(newline="")
    character = None if quoting == csv.QUOTE_NONE else '"'
    writer = csv.writer(
        file, delimiter=separator, lineterminator=end, quoting=quoting, quotechar=character
    )
    writer.writerows(rows)
    return file.getvalue()


def by_pandas(rows: list[list[str]], separator: str, end: str, quoting: int) -> str:
    table = pd.DataFrame(rows[1:], columns=rows[0], dtype=object)
    if quoting == csv.QUOTE_NONNUMERIC:
        table["score"] = table["score"].astype(float)
    text = table.to_csv(sep=separator, lineterminator=end, quoting=quoting, index=False)
    assert isinstance(text, str)
    return text


def by_libreoffice(rows: list[list[str]], separator: str, end: str, quoting: int) -> str:
    """Its rule: a text between quotes where it holds a separator, a quote or a line end, or every
    text; numbers stay as they are."""

    def cell(text: str, *, is_number: bool) -> str:
        needs = any(sign in text for sign in (separator, '"', "\n", "\r"))
        if needs or (quoting == csv.QUOTE_ALL and not is_number):
            return '"' + text.replace('"', '""') + '"'
        return text

    place = rows[0].index("score")
    lines = [
        separator.join(cell(c, is_number=n > 0 and i == place) for i, c in enumerate(row))
        for n, row in enumerate(rows)
    ]
    return end.join(lines) + end


WRITERS = {"csv": by_csv, "pandas": by_pandas, "libreoffice": by_libreoffice}
QUOTED = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)


@st.composite
def written(draw: st.DrawFn) -> Written:
    """Any table, written in any way that a reader can be asked to undo."""
    quoting = draw(st.sampled_from((*QUOTED, csv.QUOTE_NONE)))
    separator = draw(st.sampled_from(",;\t|"))
    # Without quotes, a text between quotes looks like one that was quoted.
    texts = TEXTS if quoting != csv.QUOTE_NONE else PLAIN_TEXTS.filter(_is_no_quoted_cell)
    names = draw(st.permutations(NAMES[: draw(st.integers(3, 4))]))
    cells = {"score": SCORES.map(str), "genre": st.just("") | texts}
    rows = draw(
        st.lists(
            st.tuples(*(cells.get(name, texts) for name in names)).map(list), min_size=1, max_size=5
        )
    )
    kind = draw(st.sampled_from(sorted(WRITERS) if quoting in QUOTED[:2] else ["csv", "pandas"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    # Before Python 3.13, `csv` puts no quotes around them: the row would end in CRLF.
    assume(end != "\r" or not any(row[0].startswith("\n") for row in rows))
    assume(end != "\n" or not any(row[-1].endswith("\r") for row in rows))
    text = WRITERS[kind]([names, *rows], separator, end, quoting)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp949", "euc-kr"]))
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        encoding, content = "utf-8", text.encode()
    return Written(rows, names, content, encoding, f"{kind} {separator!r} {end!r} {quoting}")


def _is_no_quoted_cell(text: str) -> bool:
    return not (text.startswith('"') and text.endswith('"'))
