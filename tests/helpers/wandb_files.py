"""What the offline files of wandb say."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

# Reading `.wandb` files: a log of 32 KiB blocks, each record in pieces with a header of 7 bytes.


def records_of(path: Path) -> list[Any]:
    protocol: Any = wandb_internal_pb2
    content, position, piece = path.read_bytes(), 7, b""
    records = []
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, size, kind = struct.unpack("<IHB", content[position : position + 7])
        piece += content[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            records.append(protocol.Record.FromString(piece))
            piece = b""
    return records


@dataclass
class Logged:
    """What a `.wandb` file says."""

    folder: Path
    run: Any = None
    exit_code: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def _items(items: Any) -> dict[str, Any]:
    return {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for item in items
        if item.key != "_wandb" and "_wandb" not in item.nested_key
    }


def logged(path: Path) -> Logged:
    found = Logged(path.parent)
    for record in records_of(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= _items(record.run.config.update)
        elif kind == "history":
            found.history.append(_items(record.history.item))
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def all_logged(study: Path) -> list[Logged]:
    """By display name, the oldest first; counts files, since wandb may leave empty folders."""
    files = sorted((study / "wandb").glob("*run-*/*.wandb"))
    runs = [run for run in map(logged, files) if run.run is not None]
    return sorted(runs, key=lambda found: str(found.run.display_name))
