"""Experiment files that set up Hydra's own sweeper, answered with the command that does it here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep.config.folders import ConfigFolders
from sweep.config.old_spellings import NewLine
from sweep.core.errors import ConfigError


def refuse_hydra_section(
    option: str,
    path: Path,
    content: Mapping[str, Any],
    *,
    places: ConfigFolders,
    valid_keys: Collection[str],
) -> None:
    """Refuse a file with a section `hydra`, or with a defaults list that chooses parts of Hydra.

    Args:
        option: The file as `+experiment=` named it.

    Raises:
        ConfigError: its way out is the command, once the file is rid of them.
    """
    line = NewLine(places, valid_keys, multirun=True, words=[f"+experiment={option}"])
    for word in (*_chosen(content.get("defaults")), *_set(content.get("hydra"), "hydra")):
        line.take(word, [])
    if line.found:
        raise ConfigError(
            "Hydra composes the configuration and no more: an experiment sets up no sweeper of it.",
            value=f"{path}: {', '.join(line.found)}",
            way_out=f"without these lines in the file: {line.commands()[0]}",
        )


def _chosen(defaults: object) -> Iterator[str]:
    """`override /hydra/sweeper: optuna` of a defaults list as `hydra/sweeper=optuna`."""
    for entry in defaults if isinstance(defaults, list) else []:
        for group, choice in entry.items() if isinstance(entry, Mapping) else []:
            name = str(group).removeprefix("override ").strip().lstrip("/")
            if name.startswith("hydra/"):
                yield f"{name}={choice}"


def _set(section: object, above: str) -> Iterator[str]:
    """What a section sets, as overrides."""
    if isinstance(section, Mapping):
        for key, inner in section.items():
            yield from _set(inner, f"{above}.{key}")
    elif section is not None:
        yield f"{above}={section}"
