"""The files that wandb has written: which are whole, which the server has yet to get."""

from __future__ import annotations

import importlib
import json
import shlex
import shutil
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.core.files import replacing_file

_OFFLINE = "offline-run-"
#: An older program has marked the folder of an online run so whose data the server has not got.
_UNSENT = "unsent"
#: A `.wandb` file is a log in blocks; records stand in pieces, each behind a head of 7 bytes: a
#: checksum, its size, and whether it is whole (1) or the last piece (4).
_HEAD_BYTES, _BLOCK_BYTES, _ENDS = 7, 32768, (1, 4)


@dataclass
class Logged:
    """What a file says of its run."""

    folder: str
    wandb_id: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    #: Whether the run was ended: until then the rest may be missing.
    is_whole: bool = False


def logged_runs(folder: Path) -> list[Logged]:
    """Of all files in `folder`, the oldest first; what can't be read is left out."""
    found = []
    for path in sorted(folder.glob("*run-*/run-*.wandb")):
        try:
            found.append(_logged(path))
        # Half a file ends in the middle of a record, in many ways.
        except Exception:
            continue
    return found


def _logged(path: Path) -> Logged:
    found = Logged(path.parent.name)
    for record in _records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.wandb_id = record.run.run_id
            found.config |= _items(record.run.config.update)
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        found.is_whole = found.is_whole or kind == "exit"
    return found


def _records(content: bytes) -> Iterator[Any]:
    protocol: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    position, piece = _HEAD_BYTES, b""
    while position + _HEAD_BYTES <= len(content):
        left = _BLOCK_BYTES - position % _BLOCK_BYTES
        if left < _HEAD_BYTES:
            position += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, position)
        position += _HEAD_BYTES
        piece += content[position : position + size]
        position += size
        if kind in _ENDS:
            yield protocol.Record.FromString(piece)
            piece = b""


def _items(items: Any) -> dict[str, Any]:
    return {item.key: json.loads(item.value_json) for item in items if item.key}


def folder_of(folder: Path, wandb_id: str) -> Path | None:
    """Where the newest files of an offline run are."""
    return max(folder.glob(f"{_OFFLINE}*-{wandb_id}"), default=None)


def remove_unsent(folder: Path, wandb_id: str) -> None:
    """Take away what an offline run has left that is written anew; what was sent stays."""
    for path in folder.glob(f"{_OFFLINE}*-{wandb_id}"):
        if not _is_sent(path):
            shutil.rmtree(path, ignore_errors=True)


def unsent(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of the folders with these names that wait to be sent, the oldest first."""
    waiting = {name for name in names if _waits(folder / name)}
    return sorted(waiting, key=lambda name: name.removeprefix("offline-"))


def _waits(folder: Path) -> bool:
    is_to_be_sent = folder.name.startswith(_OFFLINE) or (folder / _UNSENT).exists()
    return is_to_be_sent and folder.is_dir() and not _is_sent(folder)


def _is_sent(folder: Path) -> bool:
    # `wandb sync` leaves this mark.
    return any(folder.glob("*.wandb.synced"))


def write_sync_script(folder: Path, waiting: list[str]) -> Path | None:
    """Write `sync.sh`, which sends the runs in `folder` that wait.

    Returns:
        Its path; None, and no script, when everything was sent.
    """
    script = folder / "sync.sh"
    if not waiting:
        script.unlink(missing_ok=True)
        return None
    lines = [
        "#!/bin/sh",
        "# Sends these runs to wandb. Options are handed on, for example --dry-run.",
        'CDPATH=\'\' cd -- "$(dirname -- "$0")" || exit 1',
        'exec wandb sync --include-online "$@" \\',
        " \\\n".join(f"    {shlex.quote(name)}" for name in waiting),
    ]
    with replacing_file(script) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        temporary.chmod(0o755)
    return script
