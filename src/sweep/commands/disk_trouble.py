"""What is wrong with a disk or a path, told as such."""

from __future__ import annotations

from errno import EACCES, EDQUOT, EEXIST, EISDIR, ENAMETOOLONG, ENOSPC, ENOTDIR, EPERM, EROFS

from sweep.core.errors import UserMistake

#: What is wrong with a disk or a path, not with this program.
OF_THE_DISK = {EACCES, EPERM, EROFS, ENOSPC, EDQUOT, EEXIST, ENOTDIR, EISDIR, ENAMETOOLONG}


def disk_trouble(error: OSError) -> str:
    """Which file it is, and the way out."""
    where = f"{error.filename}: " if error.filename else ""
    return str(
        UserMistake(
            "Files must be readable, and folders writable.",
            value=f"{where}{error.strerror}",
            way_out="free space, or name another folder; a sweep goes on by the same command",
        )
    )
