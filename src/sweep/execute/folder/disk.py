"""What is done to files that several machines share, one way for each.

A listing may be old, a file may be seen later than it was written, a clock may be wrong. So
nothing here reads a time, a name that is listed may be gone, and reading ends with a whole line.
"""

from __future__ import annotations

import os
from pathlib import Path

from sweep.study.exchange import is_plain


def names_in(folder: Path) -> list[str]:
    """Plain names of what lies there, in order; none where there is no such folder."""
    try:
        return sorted(path.name for path in folder.iterdir() if is_plain(path.name))
    except OSError:
        return []


def take(source: Path, target: Path) -> bool:
    """Move a file for which others reach as well; whether it is ours."""
    try:
        source.rename(target)
    except OSError:
        # A server that was asked twice has no source the second time.
        return target.exists()
    return True


def append(path: Path, text: str) -> None:
    """Add to a file that is there and that nobody else writes; closed at once: others see it."""
    with path.open("r+", encoding="utf-8", newline="") as file:
        file.seek(0, os.SEEK_END)
        file.write(text)


def new_lines(path: Path, offset: int) -> tuple[list[str], int]:
    """Whole lines behind an offset, and where they end; none of a file that can't be read yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except OSError:
        return [], offset
    end = content.rfind(b"\n") + 1
    return content[:end].decode("utf-8", errors="replace").splitlines(), offset + end


def size_of(path: Path) -> int | None:
    """Bytes of a file, asked of the disk itself; None where it is gone."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError:
        return None
