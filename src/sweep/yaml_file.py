"""YAML files that the program has written, and that people may have opened since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sweep.core.errors import StudyError


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of the file.

    Raises:
        StudyError: it can't be read as such.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise _damaged(path, "it is not UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "it"
        raise _damaged(path, f"{where} is not YAML") from None
    if not isinstance(content, dict):
        raise _damaged(path, "it holds no keys")
    return content


def _damaged(path: Path, why: str) -> StudyError:
    return StudyError(
        f"`{path.name}` must be as the program has written it.",
        value=f"{path}: {why}",
        way_out="undo what was changed in it; settings are changed on the command line",
    )
