"""What a worker leaves of a run, brought into the folder of the run by the driver alone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from sweep.core.files import replacing_file, replacing_folder
from sweep.execute.folder.disk import names_in
from sweep.study.exchange import is_plain
from sweep.study.files import RunFiles


def left_in(folder: Path, *, has_ended: bool = False) -> tuple[str, ...]:
    """Names of what a run leaves: no notes, nothing half written; its rung last.

    A rung without the adapter that belongs to it would be gone on from. That of a run that
    `has_ended` is of no use, and is removed at this time.
    """
    files = RunFiles(folder)
    useless = {files.stop.name, *([files.checkpoint.name] if has_ended else [])}
    names = [name for name in names_in(folder) if name not in useless]
    return tuple(sorted(names, key=lambda name: name == files.checkpoint.name))


def bring_home(source: Path, target: Path, names: Sequence[str]) -> None:
    """Move these into the run's folder, each in one move. What only points elsewhere stays.

    Raises:
        FileNotFoundError: one of them can't be seen yet; nothing was moved.
    """
    plain = [name for name in names if is_plain(name) and not (source / name).is_symlink()]
    for name in plain:
        (source / name).stat()
    for name in plain:
        if (source / name).is_dir():
            _replace_folder(source / name, target / name)
        else:
            with replacing_file(target / name) as temporary:
                shutil.move(source / name, temporary)
    shutil.rmtree(source, ignore_errors=True)


def bring_all_home(work: Path, runs_dir: Path) -> None:
    """The same for every run of a worker that is gone."""
    for run_id in names_in(work):
        if (work / run_id).is_dir():
            bring_home(work / run_id, runs_dir / run_id, left_in(work / run_id))
    shutil.rmtree(work, ignore_errors=True)


def _replace_folder(path: Path, place: Path) -> None:
    with replacing_folder(place) as temporary:
        temporary.rmdir()
        shutil.move(path, temporary)
