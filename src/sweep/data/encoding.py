"""How the bytes of a text file are read: its mark, what was set, and what it looks like."""

from __future__ import annotations

import codecs
import contextlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from sweep.core.errors import DataError
from sweep.data.first_bytes import HEAD, opened

UTF8 = "utf-8-sig"
#: What Excel in Korea saves as CSV.
KOREAN = "cp949"
#: Byte order marks. What follows is in that encoding, whatever was set.
_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Bytes that an encoding is guessed from.
_LOOKED_AT = 200_000
_HANGUL = re.compile("[가-힣]")


def settled(path: Path, head: bytes, encoding: str) -> str:
    """The encoding of a file that begins so: by its mark, or else the one that was set.

    Raises:
        DataError: it is no text, or has the zeros of an UTF-16 that nobody has set.
    """
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    if b"\0" in head and not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        raise _no_text(path, head)
    return encoding


def _no_text(path: Path, head: bytes) -> DataError:
    """Text in UTF-16 has a zero beside each of its separators and line ends."""
    even = head[: len(head) // 2 * 2]
    found = {name: even.decode(name, "replace") for name in ("utf-16-le", "utf-16-be")}
    shares = {name: _share_of_ascii(text) for name, text in found.items()}
    name = max(shares, key=lambda one: shares[one])
    if shares[name] > 0.05:
        return DataError(
            f"{path} must be text in the encoding that is set.",
            value=f"it looks like {name}, without a byte order mark",
            way_out=f"save it as UTF-8, or set its encoding: {_to_set(name)}",
        )
    return DataError(
        "Pairs are read from CSV, TSV, JSON, JSONL, Parquet and Arrow files.",
        value=f"{path} is no text, and no form of file that the program knows",
        way_out="save the table as CSV in UTF-8",
    )


def _share_of_ascii(text: str) -> float:
    return sum(sign.isascii() and (sign.isprintable() or sign in "\r\n\t") for sign in text) / max(
        len(text), 1
    )


def text_of(file: BinaryIO, encoding: str, newline: str = "") -> io.TextIOWrapper:
    """The file as text; its line ends stay as they are."""
    return io.TextIOWrapper(file, encoding=encoding, newline=newline)


def encoding_of(path: Path, tried: Sequence[str]) -> str:
    """The first of the encodings in which the whole file is text.

    What is text in UTF-8 is UTF-8, so that belongs to the front: hardly anything else is, while
    UTF-8 may look like text in other encodings.

    Raises:
        DataError: it is text in none of them.
    """
    with opened(path) as content:
        if content.form != "text":
            return tried[0]
        marked = next((name for mark, name in _MARKS if content.head.startswith(mark)), None)
        for encoding in (marked,) if marked else tried:
            content.file.seek(0)
            if _first_fault(content.file, encoding) is None:
                return encoding
        content.file.seek(0)
        name = likely_encoding(content.file.read(_LOOKED_AT))
    raise DataError(
        f"{path} must be text in one of the encodings {', '.join(tried)}.",
        value="bytes that none of them can decode" + (f"; it looks like {name}" if name else ""),
        way_out=f"save it as UTF-8, or name its encoding: `--encoding {name or 'NAME'}`",
    )


def undecodable(path: Path, encoding: str) -> DataError:
    """What is to be said of a file that is not in this encoding."""
    with opened(path) as content:
        line = _first_fault(content.file, encoding)
        content.file.seek(0)
        name = likely_encoding(content.file.read(_LOOKED_AT))
    looks = f"; it looks like {name}" if name else ""
    return DataError(
        f"{path} must be text in the encoding {encoding}.",
        value=f"line {line} can't be decoded{looks}",
        way_out=f"save it as UTF-8, or set its encoding: {_to_set(name or KOREAN)}",
    )


def _to_set(name: str) -> str:
    return f"`data.encoding={name}`; for `predict`, `--encoding {name}`"


def _first_fault(file: BinaryIO, encoding: str) -> int | None:
    """Number of the first line that can't be decoded, about; None where all can."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    while True:
        block = file.read(HEAD)
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            return line + error.object[: error.start].count(b"\n")
        line += block.count(b"\n")
        if not block:
            return None


def likely_encoding(content: bytes) -> str | None:
    """A name for people, never taken without asking: short texts look like much."""
    content = content[: content.rfind(b"\n") + 1] or content
    with contextlib.suppress(UnicodeDecodeError):
        text = content.decode(KOREAN)
        foreign = sum(not sign.isascii() for sign in text)
        if len(_HANGUL.findall(text)) > foreign / 2:
            return KOREAN
    # Needed for messages only.
    from charset_normalizer import from_bytes

    best = from_bytes(content).best()
    return best.encoding if best is not None else None
