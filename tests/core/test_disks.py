"""Disks that other machines share, told by the list of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.core.disks import Disk, disk_of

_MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / {home} rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2,local_lock=none
31 30 0:41 / {home}/scratch\\040space rw - lustre 10.0.0.1@tcp:/fs rw,localflock
32 31 0:42 / {home}/scratch\\040space/fast rw - tmpfs tmpfs rw
33 22 0:43 / /mnt/data rw - 9p share rw,trans=virtio
a line of another kind
"""


@pytest.mark.parametrize(
    ("place", "kind", "is_local", "own_locks"),
    [
        ("", "nfs4", False, False),
        ("a/study", "nfs4", False, False),
        ("scratch space/연구", "lustre", False, True),
        ("scratch space/fast/s", "tmpfs", True, False),
        ("scratch spaces", "nfs4", False, False),
        ("..", "ext4", True, False),
    ],
)
def test_deepest_mount_says_what_a_folder_is_on(
    place: str, kind: str, is_local: bool, own_locks: bool, tmp_path: Path
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(_MOUNTS.format(home=tmp_path / "home"), encoding="utf-8")
    disk = disk_of(tmp_path / "home" / place, mounts)
    assert (disk.kind, disk.is_local, disk.locks_are_local) == (kind, is_local, own_locks)


def test_nothing_is_taken_for_local_that_is_not_known(tmp_path: Path) -> None:
    assert disk_of(tmp_path, tmp_path / "none") == Disk()
    shared = ("nfs", "lustre", "gpfs", "beegfs", "cifs", "9p", "fuse.sshfs", "ceph", None)
    assert not any(Disk(kind).is_local for kind in shared)
