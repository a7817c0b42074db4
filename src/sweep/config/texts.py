"""Texts of the settings that become names of files, or are kept where others read them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sweep.config.schema import Settings
from sweep.core.errors import ConfigError
from sweep.core.secrets import secret_in
from sweep.core.visible import has_commands, visible

#: Devices of Windows, with any ending.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
#: What Windows has no file names with, or takes for another folder.
_NOT_IN_NAMES = re.compile(r'[<>:"|?*\\]')


def check_texts(settings: Settings) -> None:
    """Refuse a name that leads out of `results_dir`, and settings that would give secrets away.

    Raises:
        ConfigError: names the key; of a secret, never the value.
    """
    trouble = _trouble_with_name(settings.name)
    if trouble is not None:
        raise ConfigError(
            "`name` must be the name of a folder below `results_dir`, on every system.",
            value=f"`{visible(settings.name)}`: {trouble}",
            way_out="take letters, digits, `-`, `_`, `.`; another place is `results_dir=`",
        )
    if has_commands(settings.results_dir):
        raise ConfigError(
            "`results_dir` must be a path that can be shown.",
            value=ascii(settings.results_dir),
            way_out="leave out line ends, and signs that a terminal or an editor would obey",
        )
    for key, text in _texts("", dataclasses.asdict(settings)):
        found = secret_in(text)
        if found is not None:
            raise ConfigError(
                "A setting must hold no secret: tables, logs and the model card show it.",
                value=f"`{key}` holds {found}",
                way_out="leave it in the environment, where libraries look for it themselves",
            )


def _trouble_with_name(name: str) -> str | None:
    """Why it is none, in a few words."""
    if has_commands(name):
        return "it holds a line end, or a sign that a terminal would obey"
    parts = name.split("/")
    if not all(parts) or {".", ".."} & {*parts}:
        return "it leads elsewhere"
    if found := _NOT_IN_NAMES.search(name):
        return f"it holds `{found[0]}`"
    if any(map(_RESERVED.fullmatch, parts)):
        return "it is a device of Windows"
    if any(part != part.rstrip(". ") for part in parts):
        return "it ends with a dot or a space"
    return None


def _texts(place: str, content: Any) -> Iterator[tuple[str, str]]:
    """Every text, with the key that holds it."""
    if isinstance(content, str):
        yield place, content
    elif isinstance(content, Mapping):
        for name, inner in content.items():
            yield from _texts(f"{place}.{name}" if place else str(name), inner)
            yield from _texts(f"a key of {place}", str(name))
    elif isinstance(content, (list, tuple)):
        for inner in content:
            yield from _texts(place, inner)
