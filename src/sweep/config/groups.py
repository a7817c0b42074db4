"""Whole config groups as choices of a search: `model: [minilm, klue_roberta_small]`.

Each option is composed as if it stood on the command line (`model=minilm`), experiment and other
overrides included. A label sets every key in which any of the options differs from the base.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sweep.config.names import nearest
from sweep.core.errors import ConfigError

#: Groups that make up a recipe.
GROUPS = ("model", "data", "lora", "trainer", "task")


def expand_groups(
    space: dict[str, Any],
    *,
    base: Mapping[str, Any],
    options: Callable[[str], Collection[str]],
    composed: Callable[[str, str], Mapping[str, Any]],
) -> None:
    """Replace groups in `search.space` by labels with the keys they set, in place.

    Args:
        base: The configuration as composed.
        options: Names of a group's options.
        composed: The group's part of the configuration under another option.

    Raises:
        ConfigError: an option that does not exist, or options without any difference.
    """
    for group in GROUPS:
        entry = space.get(group)
        names = entry.get("values") if isinstance(entry, Mapping) else entry
        if not isinstance(names, list):
            continue
        for name in names:
            _check_option(group, name, options(group))
        when = {"when": entry["when"]} if isinstance(entry, Mapping) and "when" in entry else {}
        parts = {str(name): composed(group, str(name)) for name in names}
        space[group] = {**_labels(group, parts, base[group]), **when}


def _labels(
    group: str, parts: Mapping[str, Mapping[str, Any]], base: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    keys = [key for key in base if any(part.get(key) != base[key] for part in parts.values())]
    keys += [key for part in parts.values() for key in part if key not in base]
    if not keys:
        raise ConfigError(
            f"The options of `search.space.{group}` must differ.",
            value=f"{', '.join(parts)}: all set what the base configuration sets",
            way_out="settings of the experiment or the command line stand above those of a group",
        )
    return {
        name: {f"{group}.{key}": part.get(key) for key in dict.fromkeys(keys)}
        for name, part in parts.items()
    }


def _check_option(group: str, name: object, known: Collection[str]) -> None:
    if name not in known:
        raise ConfigError(
            f"`search.space.{group}` must list options of the group `{group}`: "
            f"{', '.join(known) or 'none found'}.",
            value=f"`{name}`",
            way_out=nearest(str(name), known),
        )
