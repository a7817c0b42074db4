"""Files: found however 한글 is spelt, never half written."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.errors import StudyError
from sweep.core.words import excerpt

#: In no system a folder or the way to one.
_PLAIN = re.compile(r"[^/\\:\x00-\x1f]{1,255}")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a temporary name beside `path`, then move it there."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def read_floats(path: Path) -> Floats:
    """An array `[N]` that the study has kept; numbers alone, whatever else the file may hold.

    Raises:
        StudyError: it is gone or damaged.
    """
    try:
        with path.open("rb") as file:
            found = np.lib.format.read_array(file, allow_pickle=False)
        if found.ndim != 1 or found.dtype.kind not in "biuf":
            raise ValueError(found.dtype)
        # No score and no label is near: the bytes are damaged.
        if not np.all(np.abs(found) < 1e100):
            raise ValueError("not finite")
        return np.asarray(found, dtype=np.float64)
    # What stands at the beginning of such a file is read as Python writes values: numpy raises a
    # dozen kinds for one that is not whole.
    except Exception:
        raise StudyError(
            "Predictions and labels that a study has kept must stay in its folder.",
            value=lost_or_damaged(path),
            way_out="bring the file back from a copy of the study",
        ) from None


def plain_name(name: str) -> str:
    """A name that somebody may have changed in a file, once it is known to stay in its folder.

    Raises:
        StudyError: it leads elsewhere.
    """
    if name in ("", ".", "..") or not _PLAIN.fullmatch(name):
        raise StudyError(
            "Names of runs must be as the program has written them.",
            value=excerpt(name),
            way_out="bring the study's files back from a copy",
        )
    return name


def links_out(folder: Path) -> list[Path]:
    """What is a link in a folder, at any depth, and leads out of it."""
    home = folder.resolve()
    links = (path for path in folder.rglob("*") if path.is_symlink())
    return [link for link in links if not link.resolve().is_relative_to(home)]


def as_on_disk(path: Path) -> Path:
    """The path as the disk spells it, where it is there; otherwise the path itself.

    한글 may be composed or, from a Mac, decomposed, in each folder's name anew: archives and shells
    change one part and leave the others.
    """
    if path.exists():
        return path
    folder = Path(path.anchor)
    return next(_spellings(folder, path.parts[len(folder.parts) :]), path)


def _spellings(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """What lies in the folder under these names, in any Unicode form."""
    if not parts:
        yield folder
        return
    for name in _names_alike(folder, parts[0]):
        yield from _spellings(folder / name, parts[1:])


def _names_alike(folder: Path, name: str) -> list[str]:
    """The name itself first, where it is there: `..` is in no listing."""
    composed = unicodedata.normalize("NFC", name)
    try:
        entries = [entry.name for entry in folder.iterdir()]
    except OSError:  # no folder, or one that may be entered but not listed
        entries = []
    alike = [entry for entry in entries if unicodedata.normalize("NFC", entry) == composed]
    exact = [name] if (folder / name).exists() else []
    return [*exact, *(entry for entry in alike if entry != name)]


def lost_or_damaged(path: Path) -> str:
    """Which of both a file is that could not be read."""
    return f"{path} is {'damaged' if path.exists() else 'missing'}"


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what was written there takes its place on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place on success.

    A folder can't be replaced in one step: between the two moves the old one stands beside
    under a hidden name, never lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    old = path.with_name(f".{path.name}.{uuid4().hex[:8]}.old")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.replace(old)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
