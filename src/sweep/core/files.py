"""Files: found however 한글 is spelt, never half written."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.errors import StudyError


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a temporary name beside `path`, then move it there."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def read_floats(path: Path) -> Floats:
    """An array that the study has kept.

    Raises:
        StudyError: it is gone or damaged.
    """
    try:
        return np.asarray(np.load(path), dtype=np.float64)
    except (OSError, ValueError, EOFError):
        raise StudyError(
            "Predictions and labels that a study has kept must stay in its folder.",
            value=lost_or_damaged(path),
            way_out="bring the file back from a copy of the study",
        ) from None


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
