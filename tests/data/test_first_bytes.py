"""First bytes decide what a file is: it is read, or named for what it is, under any name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, ipc, orc

from pair_tables import ROWS, load, write
from sweep.core.errors import DataError

TABLE = pd.DataFrame(ROWS)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "sentence1,sentence2,score\na,b,1\nc,d,2\n")
    return file.getvalue()


def database(folder: Path) -> bytes:
    with closing(sqlite3.connect(folder / "a.db")) as connection:
        connection.execute("CREATE TABLE pairs (a TEXT)")
    return (folder / "a.db").read_bytes()


def tar(_: Path) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train.csv"), io.BytesIO())
    return file.getvalue()


def array(_: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(3))
    return file.getvalue()


def orc_file(folder: Path) -> bytes:
    orc.write_table(pa.Table.from_pandas(TABLE), folder / "a.orc")
    return (folder / "a.orc").read_bytes()


#: What a file holds, and what it has to be called.
NAMED: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "xlsx": (lambda _: zipped("[Content_Types].xml", "xl/workbook.xml"), "Excel workbook"),
    "docx": (lambda _: zipped("[Content_Types].xml", "word/document.xml"), "Word document"),
    "ods": (lambda _: zipped("mimetype", "content.xml"), "OpenDocument"),
    "zip of two": (lambda _: zipped("train.csv", "dev.csv"), "zip archive of 2 files"),
    "torch": (lambda _: zipped("archive/data.pkl"), "PyTorch"),
    "xls": (lambda _: bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "Excel 97 workbook"),
    "pickle 5": (lambda _: pickle.dumps(ROWS, 5), "pickle"),
    "pickle 2": (lambda _: pickle.dumps(TABLE, 2), "pickle"),
    "pickle 1": (lambda _: pickle.dumps(ROWS, 1), "pickle"),
    "pickle 0": (lambda _: pickle.dumps(TABLE, 0), "pickle"),
    "packed pickle": (lambda _: gzip.compress(pickle.dumps(TABLE)), "pickle"),
    "sqlite": (database, "SQLite"),
    "tar": (tar, "tar archive"),
    "packed tar": (lambda f: gzip.compress(tar(f)), "tar archive"),
    "array": (array, "NumPy"),
    "orc": (orc_file, "ORC"),
    "pdf": (lambda _: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF"),
    "html": (lambda _: b"\n<!DOCTYPE html>\n<html><body>log in</body></html>", "web page"),
    "html table": (lambda _: b"\xef\xbb\xbf<table><tr><td>a</td></tr></table>", "web page"),
    "xml": (lambda _: b'<?xml version="1.0"?><Workbook/>', "XML"),
    "lfs": (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
    "rar": (lambda _: b"Rar!\x1a\x07\x01\x00", "RAR"),
    "nothing": (lambda _: b"", "empty"),
    "packed nothing": (lambda _: gzip.compress(b""), "empty"),
    "noise": (lambda _: bytes(range(256)) * 4, "no text"),
}


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "자료"])
@pytest.mark.parametrize("kind", NAMED)
def test_file_of_another_kind_is_named_whatever_it_is_called(
    tmp_path: Path, kind: str, name: str
) -> None:
    make, called = NAMED[kind]
    path = tmp_path / name
    path.write_bytes(make(tmp_path))
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    assert called in message
    assert str(path) in message
    assert caught.value.way_out
    assert len(message) < 600 + len(str(path))


class _Told:
    """A pickle that runs code of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["a.pkl", "a.csv", "a.json.gz"])
def test_pickle_is_never_opened(tmp_path: Path, protocol: int, name: str) -> None:
    content = pickle.dumps(_Told(tmp_path / "run"), protocol)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(DataError):
        load(path)
    assert not (tmp_path / "run").exists()


def arrow_stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def feather_file(table: pa.Table, version: int) -> bytes:
    sink = io.BytesIO()
    feather.write_feather(table, sink, version=version, compression=None if version == 1 else "lz4")
    return sink.getvalue()


COLUMNAR: dict[str, Callable[[pa.Table], bytes]] = {
    "arrow stream": arrow_stream,
    "feather 1": lambda table: feather_file(table, 1),
    "feather 2": lambda table: feather_file(table, 2),
}


@pytest.mark.parametrize("name", ["a.csv", "a.arrow", "a.feather", "a.bin"])
@pytest.mark.parametrize("kind", COLUMNAR)
@pytest.mark.filterwarnings("ignore:.*Feather.*:FutureWarning")
def test_arrow_is_read_under_any_name(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(COLUMNAR[kind](pa.Table.from_pandas(TABLE, preserve_index=False)))
    assert_is_table(path)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.pq", "a"])
def test_parquet_is_read_under_any_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.parquet", ROWS)
    path = (tmp_path / "a.parquet").rename(tmp_path / name)
    assert_is_table(path)


def one_member(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("자료.csv", content)
        archive.writestr("__MACOSX/._자료.csv", b"\0\1")
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": one_member,
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
    "gz.gz": lambda content: gzip.compress(gzip.compress(content)),
}


@pytest.mark.parametrize("inside", ["csv", "tsv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("keeps_name", [True, False])
def test_packed_file_is_read_by_what_is_in_it(
    tmp_path: Path, inside: str, packed: str, keeps_name: bool
) -> None:
    plain = write(tmp_path / f"a.{inside}", ROWS)
    path = tmp_path / (f"b.{inside}.{packed}" if keeps_name else f"b.{inside}")
    path.write_bytes(PACKED[packed](plain.read_bytes()))
    assert_is_table(path)


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz", "zip", "zst"])
def test_damaged_archive_is_told(tmp_path: Path, packed: str) -> None:
    plain = write(tmp_path / "a.csv", [*ROWS] * 200)
    path = tmp_path / f"b.csv.{packed}"
    content = PACKED[packed](plain.read_bytes())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="can't be read"):
        load(path)


@pytest.mark.parametrize(
    "start", ["ORC", "BZh", "PAR1", "Obj", "ARROW1", "sentence0", "[CLS]", "{a}"]
)
def test_text_that_begins_as_another_kind_stays_text(tmp_path: Path, start: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{start},sentence1,sentence2,score\n1,a,b,2.5\n2,c,d,4\n", encoding="utf-8")
    assert load(path).text_a == ("a", "c")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.json", "a"])
def test_table_of_text_is_read_under_any_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.csv", ROWS).rename(tmp_path / name)
    assert_is_table(path)


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_is_read_under_any_name(tmp_path: Path, name: str, kind: str) -> None:
    assert_is_table(write(tmp_path / f"a.{kind}", ROWS).rename(tmp_path / name))


def assert_is_table(path: Path) -> None:
    pairs = load(path)
    assert pairs.text_a == tuple(TABLE["sentence1"])
    assert pairs.text_b == tuple(TABLE["sentence2"])
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [2.5, 4.0, 0.0]
