"""YAML files that people may have edited, read so that a slip is told by its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sweep.core.errors import StudyError

#: Values of a file. A dozen lines that name one another unfold to more than a machine can hold.
_MOST = 100_000


class Unreadable(ValueError):
    """Why a file holds no keys and values, in words."""


def parse_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a file; none where it is empty.

    Raises:
        Unreadable: it is not UTF-8, not YAML, or no mapping.
    """
    try:
        # Editors on Windows may put a byte order mark in front.
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    except yaml.YAMLError as error:
        raise Unreadable(f"{_place_of(error) or 'it'} is not YAML") from None
    except (ValueError, RecursionError, OverflowError) as error:
        # A date that there is not, a number too long, a thousand brackets.
        raise Unreadable(f"it holds what is no value ({type(error).__name__})") from None
    if not _is_short(content):
        raise Unreadable(f"it holds more than {_MOST:,} values")
    if not isinstance(content, dict | None):
        raise Unreadable("it holds no keys")
    return content or {}


def _is_short(content: Any) -> bool:
    """Whether it has no more values than people write; what is named twice counts twice."""
    waiting, seen = [content], 0
    while waiting and seen <= _MOST:
        seen += 1
        one = waiting.pop()
        inner = [*one, *one.values()] if isinstance(one, dict) else one
        waiting += inner if isinstance(inner, list) else []
    return seen <= _MOST


def _place_of(error: yaml.YAMLError) -> str:
    """The line that an error names, if it does."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else ""


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a file that the program has written.

    Raises:
        StudyError: it has been damaged since.
    """
    try:
        content = parse_mapping(path)
        if not content:
            raise Unreadable("it holds no keys")
    except Unreadable as why:
        raise StudyError(
            f"`{path.name}` must be as the program has written it.",
            value=f"{path}: {why}",
            way_out="undo what was changed in it; settings are changed on the command line",
        ) from None
    return content
