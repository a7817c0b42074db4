"""What kind of disk a folder is on: one of this machine, or one that others share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
#: File systems that one machine alone writes to. Any other name counts as shared.
_LOCAL = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "bcachefs", "tmpfs"),
        *("ramfs", "rootfs", "overlay", "ntfs3", "ntfs", "vfat", "exfat", "hfsplus", "apfs"),
    }
)
#: Options of a shared disk whose locks other machines do not see.
_OWN_LOCKS = ("nolock", "localflock", "local_lock=flock", "local_lock=all")


@dataclass(frozen=True)
class Disk:
    """The file system that a folder is on.

    Args:
        kind: As the system names it; None where it does not say.
        options: That it was mounted with.
    """

    kind: str | None = None
    options: frozenset[str] = frozenset()

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine writes there, as far as names tell."""
        return self.kind in _LOCAL

    @property
    def locks_are_local(self) -> bool:
        """Whether other machines write there and do not see the locks of this one."""
        return not self.is_local and any(option in _OWN_LOCKS for option in self.options)


def disk_of(folder: Path, mounts: Path = _MOUNTS) -> Disk:
    """The disk of a folder, by the list of mounts that Linux keeps; elsewhere nothing is known."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        place = folder.resolve()
    except OSError:
        return Disk()
    found, deepest = Disk(), -1
    for line in lines:
        before, _, after = line.partition(" - ")
        own, kind = before.split(), after.split()
        if len(own) < 6 or len(kind) < 3:
            continue
        root = Path(_unescaped(own[4]))
        # Of two at one place, the later one hides the other.
        if place.is_relative_to(root) and len(root.parts) >= deepest:
            deepest = len(root.parts)
            found = Disk(kind[0], frozenset({*own[5].split(","), *kind[2].split(",")}))
    return found


def _unescaped(name: str) -> str:
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        name = name.replace(code, letter)
    return name
