"""One driver of a study at a time, on one machine or on many that share the disk."""

from __future__ import annotations

import errno
import importlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from sweep.core.disks import disk_of
from sweep.core.errors import StudyError
from sweep.core.files import write_text
from sweep.study.files import StudyFiles

#: What a disk says that keeps no locks.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@contextmanager
def locked(folder: Path) -> Iterator[str | None]:
    """Hold the study; the operating system frees it when the driver dies, however it dies.

    Yields:
        A line for the user where the disk's locks do not reach as far, or it has none.

    Raises:
        StudyError: another driver holds it, or nothing can be written there.
    """
    files = StudyFiles(folder)
    try:
        # The name of a link may be too long as well.
        _refuse_links(files)
        folder.mkdir(parents=True, exist_ok=True)
        files.lock.touch()
    except OSError as error:
        raise StudyError(
            "A study needs a folder that can be written to.",
            value=f"{error.filename}: {error.strerror}",
            way_out="name another with `results_dir=` or `name=`",
        ) from None
    lock, notice = _lock_of(files)
    try:
        with lock:
            write_text(files.driver, f"process {os.getpid()} on {platform.node()}\n")
            yield notice
    except Timeout:
        by_hand = (
            "" if isinstance(lock, FileLock) else f"; where it is dead, remove {lock.lock_file}"
        )
        raise StudyError(
            "A study has one driver at a time.",
            value=f"{folder} is driven by {driver_of(folder)}",
            way_out=f"wait for it, stop it, or give this sweep another `name=`{by_hand}",
        ) from None


def driver_of(folder: Path) -> str:
    """Which process holds, or held, the study, and where."""
    try:
        return StudyFiles(folder).driver.read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def is_driven(folder: Path) -> bool:
    """Whether a driver holds the study.

    Raises:
        StudyError: its lock is a link to another file.
    """
    _refuse_links(StudyFiles(folder))
    lock, _ = _lock_of(StudyFiles(folder))
    try:
        with lock:
            return False
    except Timeout:
        return True


def _refuse_links(files: StudyFiles) -> None:
    """To take a lock empties its file: a link would have another one emptied."""
    for path in (files.lock, files.lock_marker):
        if path.is_symlink():
            raise StudyError(
                "The lock of a study is a file of its folder, never a link.",
                value=f"{path} leads to {path.readlink()}",
                way_out="take the link out",
            )


def _lock_of(files: StudyFiles) -> tuple[BaseFileLock, str | None]:
    """The lock, and where it can't be relied on everywhere, a line that says so."""
    if not _has_locks(files.lock):
        return SoftFileLock(files.lock_marker, timeout=0), (
            f"this disk keeps no locks, so the file {files.lock_marker} stands for one: a driver "
            "that is killed on another machine leaves it behind"
        )
    disk = disk_of(files.folder)
    notice = (
        f"locks of this disk ({disk.kind}) are seen on this machine only: start no second driver "
        "of this study on another one"
    )
    return FileLock(files.lock, timeout=0), notice if disk.locks_are_local else None


def _has_locks(path: Path) -> bool:
    """Whether the disk keeps locks, found out by taking one that excludes nobody."""
    try:
        fcntl = importlib.import_module("fcntl")
    except ImportError:  # Windows has locks of another kind.
        return True
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
    except OSError as error:
        return error.errno not in _NO_LOCKS
    return True
