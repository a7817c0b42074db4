"""Notes that somebody leaves in a study's folder: end this run, make way, train this config too.

Whoever trains a run finds its note, whatever process, or machine that shares the disk, left it.
"""

from __future__ import annotations

import json
from pathlib import Path

from sweep.core.files import write_text
from sweep.core.fingerprint import fingerprint
from sweep.space.space import Params
from sweep.study.files import RunFiles, StudyFiles, pause_note
from sweep.study.reading import read_json

_AT_STEP = "at the next step"


def ask_to_stop(run_dir: Path, reason: str) -> None:
    """Whoever trains the run ends it at its next step, as pruned."""
    write_text(RunFiles(run_dir).stop, reason)


def asked_to_stop(run_dir: Path) -> str | None:
    """The reason, where somebody has asked."""
    try:
        return RunFiles(run_dir).stop.read_text(encoding="utf-8")
    except OSError:
        return None


def forget_to_stop(run_dir: Path) -> None:
    """A new attempt does not obey a note for an earlier one."""
    RunFiles(run_dir).stop.unlink(missing_ok=True)


def ask_to_pause(runs_dir: Path, *, at_step: bool = False) -> None:
    """Every run under way makes way at its next rung, or at its next step."""
    write_text(pause_note(runs_dir), _AT_STEP if at_step else "")


def asked_to_pause(runs_dir: Path) -> bool:
    return pause_note(runs_dir).exists()


def asked_to_pause_at_step(runs_dir: Path) -> bool:
    try:
        return pause_note(runs_dir).read_text(encoding="utf-8") == _AT_STEP
    except OSError:
        return False


def forget_to_pause(runs_dir: Path) -> None:
    """A new start does not obey a note for an earlier one."""
    pause_note(runs_dir).unlink(missing_ok=True)


def add_point(study: Path, point: Params) -> None:
    """The driver takes it up, now or at its next start."""
    note = StudyFiles(study).added / f"{fingerprint(point)}.json"
    write_text(note, json.dumps(point, ensure_ascii=False))


def added_points(study: Path) -> list[tuple[Path, Params]]:
    """The notes that are there, which whoever has taken them up removes; one that can't be read is
    left where it is."""
    notes = sorted(StudyFiles(study).added.glob("*.json"))
    read = [(note, read_json(note, dict, otherwise="its config is not trained")) for note in notes]
    return [(note, point) for note, point in read if point is not None]
