"""Configs that somebody adds to a study by hand: notes in its folder, read by its driver."""

from __future__ import annotations

import json
from pathlib import Path

from sweep.core.files import write_text
from sweep.core.recipe import fingerprint
from sweep.space.space import Params

_FOLDER = "added"


def add_point(study: Path, point: Params) -> None:
    """Leave a note; the driver takes it up, now or at its next start."""
    path = study / _FOLDER / f"{fingerprint(point)}.json"
    write_text(path, json.dumps(point, ensure_ascii=False))


def added_points(study: Path) -> list[tuple[Path, Params]]:
    """The notes that are there, which whoever has taken them up removes."""
    return [(p, json.loads(p.read_text("utf-8"))) for p in sorted((study / _FOLDER).glob("*.json"))]
