"""What a file is, by its first bytes: names lie, and people rename what they get."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa

from sweep.core.errors import DataError
from sweep.core.words import excerpt

#: Bytes of a file that are looked at; a tar archive says what it is at 257.
HEAD = 4_096
#: Compressed files in compressed files, and no deeper.
_LAYERS = 3
#: What can be read; the rest is named.
Form = Literal["text", "parquet", "arrow", "feather"]

_AS_CSV = (
    "save the sheet as `CSV UTF-8` in the table program, or in Python: "
    "pandas.read_excel(FILE).to_csv('pairs.csv', index=False)"
)
_AS_TABLE = "write its rows as CSV, JSONL or Parquet"
_UNPACK = "unpack it, and name one of its files"
_AS_TEXT = "save the table in it as CSV in UTF-8"

#: Beginning, what it is, way out. The first that fits counts.
_NAMED: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel 97 workbook (.xls), or a locked one", _AS_CSV),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"SQLite format 3\0", "an SQLite database", _AS_TABLE),
    (b"ORC", "an ORC file", _AS_TABLE),
    (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (b"Obj\x01", "an Avro file", _AS_TABLE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _AS_TABLE),
    (b"\x93NUMPY", "a NumPy array", _AS_TABLE),
    (b"$FL2", "an SPSS file", _AS_TABLE),
    (b"<stata_dta>", "a Stata file", _AS_TABLE),
    (b"%PDF-", "a PDF", _AS_TEXT),
    (b"{\\rtf", "a rich text document", _AS_TEXT),
    (b"\x89PNG", "an image", _AS_TEXT),
    (b"\xff\xd8\xff", "an image", _AS_TEXT),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "run `git lfs pull`"),
)
#: Those of them that are text.
_WORDS = (b"%PDF-", b"{\\rtf", b"<stata_dta>", b"version https://git-lfs")
_PICKLE = (
    "a pickle",
    "a pickle can run code of whoever wrote it, so none is opened; where you trust it: "
    "pandas.read_pickle(FILE).to_csv('pairs.csv', index=False)",
)
#: Protocols 0 and 1, of a list, a dictionary, or an object of pandas or numpy.
_OLD_PICKLES = (b"(lp0\n", b"(dp0\n", b"]q\0", b"}q\0", b"ccopy_reg\n", b"cpandas.", b"cnumpy.")
_READ: tuple[tuple[bytes, Form], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "feather"),
    (b"FEA1", "feather"),
    # The stream of Arrow, as `datasets` saves it.
    (b"\xff\xff\xff\xff", "arrow"),
)
_PACKED: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda file: cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb")),
    b"BZh": cast(Any, bz2.BZ2File),
    b"\xfd7zXZ\0": cast(Any, lzma.LZMAFile),
    b"\x28\xb5\x2f\xfd": lambda file: _with_arrow(file, "zstd"),
    b"\x04\x22\x4d\x18": lambda file: _with_arrow(file, "lz4"),
    b"PK\x03\x04": lambda file: _only_member(file),
    b"PK\x05\x06": lambda file: _only_member(file),
}
#: A member that tells what a zip archive is, by the beginning of its name.
_ZIPPED = (
    ("xl/", "an Excel workbook (.xlsx)", _AS_CSV),
    ("word/", "a Word document", _AS_TEXT),
    ("ppt/", "a PowerPoint document", _AS_TEXT),
    ("content.xml", "an OpenDocument file (.ods, .odt)", _AS_CSV),
    ("Index/", "a workbook of Numbers", _AS_CSV),
)


class _NotPairs(Exception):
    """What a file is instead, and the way out."""


@dataclass(frozen=True)
class Opened:
    """The content of a file, unpacked, from its beginning."""

    file: BinaryIO
    form: Form
    head: bytes


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a file, unpack it, and find out what it is.

    Raises:
        DataError: it is nothing that pairs are read from; says what it is.
        Exception: whatever a library says of a damaged archive.
    """
    with path.open("rb") as file:
        try:
            content, head = _unpacked(file)
            form = _form(head)
        except _NotPairs as found:
            what, way_out = found.args
            raise DataError(
                "Pairs are read from CSV, TSV, JSON, JSONL, Parquet and Arrow files.",
                value=f"{path} is {what}",
                way_out=way_out,
            ) from None
        yield Opened(content, form, head)


def _unpacked(file: BinaryIO) -> tuple[BinaryIO, bytes]:
    """The file itself, or what is in it, with its first bytes."""
    head = _peek(file)
    for _ in range(_LAYERS):
        unpack = next((how for mark, how in _PACKED.items() if _begins(head, mark)), None)
        if unpack is None:
            break
        file = unpack(file)
        head = _peek(file)
    return file, head


def _peek(file: BinaryIO) -> bytes:
    head = file.read(HEAD)
    file.seek(0)
    return head


def _begins(head: bytes, mark: bytes) -> bool:
    """Whether the file begins so, and is none of text: a column may well be named `ORC`."""
    if not head.startswith(mark):
        return False
    return mark in _WORDS or not mark.isascii() or any(byte < 9 for byte in head)


def _form(head: bytes) -> Form:
    named = _named(head)
    if named is not None:
        raise _NotPairs(*named)
    return next((form for mark, form in _READ if _begins(head, mark)), "text")


def _named(head: bytes) -> tuple[str, str] | None:
    """What it is, and the way out, where it can't be read."""
    if not head:
        return "empty, so it can't be read", "name a file that holds pairs"
    # Later protocols begin with their number.
    if head.startswith(_OLD_PICKLES) or (head[0] == 0x80 and 2 <= [*head, 0][1] <= 5):
        return _PICKLE
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    found = next(((what, out) for mark, what, out in _NAMED if _begins(head, mark)), None)
    return found or _markup(head)


def _markup(head: bytes) -> tuple[str, str] | None:
    """A page: often the answer of a server that asks for a login, or a sheet saved as `.xls`."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:200].lower()
    if text.startswith((b"<!doctype html", b"<html", b"<table", b"<head", b"<meta")):
        return "a web page (HTML)", "download the file itself, or save its table as CSV in UTF-8"
    return ("an XML document", _AS_CSV) if text.startswith(b"<?xml") else None


def _with_arrow(file: BinaryIO, codec: str) -> BinaryIO:
    return io.BytesIO(pa.CompressedInputStream(pa.PythonFile(file, "r"), codec).read())


def _only_member(file: BinaryIO) -> BinaryIO:
    """The one file in a zip archive, as pandas writes and reads it.

    Raises:
        _NotPairs: it holds several, or is a document of an office program.
    """
    archive = zipfile.ZipFile(file)
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    for start, what, way_out in _ZIPPED:
        if any(name.startswith(start) for name in names):
            raise _NotPairs(what, way_out)
    if any(name.endswith(("data.pkl", ".npy")) for name in names):
        raise _NotPairs("an archive of PyTorch or NumPy", _AS_TABLE)
    # What a Mac adds to every archive.
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1:
        some = ", ".join(excerpt(name) for name in names[:4])
        raise _NotPairs(f"a zip archive of {len(names)} files: {some} ...", _UNPACK)
    return cast(BinaryIO, archive.open(names[0]))
