"""A study's folder, opened to drive it with the settings it began with."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain, count
from pathlib import Path
from typing import Any

import yaml

from sweep.core.files import write_text
from sweep.study.changes import Resume, refuse_changes
from sweep.study.files import FORMAT, StudyFiles
from sweep.study.settings import refuse_newer
from sweep.study.yaml_file import read_mapping

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "optuna", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Versions of this program, Python and the libraries that decide a result."""
    from sweep import __version__

    found = {name: metadata.version(name) for name in _PACKAGES}
    return {"sweep": __version__, "python": platform.python_version(), **found}


def open_folder(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    resume: Resume,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Make the folder ready for these settings, or refuse.

    `settings` are the resolved configuration with the fingerprints of data and model. They
    are compared with those that the study was begun with, and written down.

    Args:
        defaults: Of every key: what a study had that was begun before there was such a key.

    Raises:
        StudyError: a newer program wrote it, or a setting differs that decides results; names key,
            old and new value.
    """
    if resume == "restart":
        _move_aside(folder)
    files = StudyFiles(folder)
    if files.settings.exists():
        old = read_mapping(files.settings)
        refuse_newer(files, old)
        refuse_changes(
            folder, old, _plain(settings), resume=resume, defaults=_plain(defaults or {})
        )
    content = {"format": FORMAT, **_plain(settings), "versions": versions()}
    write_text(files.settings, yaml.safe_dump(content, allow_unicode=True, sort_keys=False))


def _move_aside(folder: Path) -> None:
    """Rename what is there. The lock file stays: it is held by this process."""
    files = StudyFiles(folder)
    entries = [e for e in folder.iterdir() if e.name not in files.of_the_driver]
    if not entries:
        return
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    base = folder.with_name(f"{folder.name}.before-{stamp}")
    others = (base.with_name(f"{base.name}-{i}") for i in count(2))
    aside = next(path for path in chain([base], others) if not path.exists())
    aside.mkdir()
    for entry in entries:
        entry.rename(aside / entry.name)
    # Whoever begins again until the verdict pleases has looked each time.
    with suppress(FileNotFoundError):
        shutil.copyfile(StudyFiles(aside).looks, files.looks)


def _plain(content: Any) -> Any:
    """Only what YAML gives back unchanged: tuples become lists."""
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    return content
