"""What an actor sends to the driver: events, and the files of a run as bytes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sweep.execute.folder.home import bring_home
from sweep.loop.trial import Event
from sweep.study.exchange import is_plain

#: Path within the folder of a run, and content; that of a folder ends with a slash.
Files = tuple[tuple[str, bytes], ...]

#: Seconds that files may be in the middle of being replaced.
_REPLACED = 5.0


@dataclass(frozen=True)
class Greeting:
    """An actor has come."""

    name: str
    host: str
    node: str
    version: str


@dataclass(frozen=True)
class Parcel:
    """What happened to a run, and what it has left; no event where it has come to a rung."""

    run_id: str
    event: Event | None
    files: Files = ()


@dataclass(frozen=True)
class Printed:
    """What was printed since the last time."""

    text: str


@dataclass(frozen=True)
class Died:
    """What trained for the actor has ended by itself."""

    cause: str


Said = Parcel | Printed | Died


def packed(folder: Path, names: Sequence[str]) -> Files:
    """The content of these, while a training may be replacing them.

    The last one is read first: a rung may be older than the adapter beside it, which the run comes
    to again, and never younger.
    """
    found = [_read(folder, name) for name in reversed(names)]
    return tuple(file for files in reversed(found) for file in files)


def unpacked(files: Files, target: Path) -> None:
    """Put files into the folder of a run, each in one move; what leads elsewhere stays out."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as temporary:
        source = Path(temporary)
        names = []
        for path, content in files:
            parts = path.removesuffix("/").split("/")
            if all(map(is_plain, parts)):
                names.append(parts[0])
                place = source.joinpath(*parts)
                (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
                if not path.endswith("/"):
                    place.write_bytes(content)
        bring_home(source, target, tuple(dict.fromkeys(names)))


def _read(folder: Path, name: str) -> list[tuple[str, bytes]]:
    ends_at = time.monotonic() + _REPLACED
    while True:
        with suppress(OSError):
            before = mark_of(folder / name)
            found = [
                _content(path, path.relative_to(folder).as_posix())
                for path in sorted([folder / name, *(folder / name).rglob("*")])
            ]
            if before == mark_of(folder / name):
                return found
        if time.monotonic() > ends_at:
            return []
        time.sleep(0.01)


def _content(path: Path, name: str) -> tuple[str, bytes]:
    return (f"{name}/", b"") if path.is_dir() else (name, path.read_bytes())


def mark_of(path: Path) -> tuple[int, int]:
    """Another one once the path was replaced."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
