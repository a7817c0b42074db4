"""Interpolations of searched keys: `lora.lora_alpha: ${lora.r}` follows r from label to label.

OmegaConf resolves an interpolation once, on the base configuration. What would change along with a
searched key is therefore written into the labels of that key, or refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS
from sweep.space.dimensions import Choices, Dimension
from sweep.space.space import Space, parse_space

_MARK = "${"


def follow_searched_keys(
    composed: DictConfig, space: dict[str, Any], *, options: Mapping[str, Sequence[DictConfig]]
) -> set[str]:
    """Write what interpolates a searched key into the labels that set that key, in place.

    Args:
        composed: The configuration, interpolations unresolved.
        space: The content of `search.space`, groups expanded and interpolations resolved.
        options: The same configuration with each option of a group that is searched.

    Returns:
        The dotted keys that follow others.

    Raises:
        ConfigError: what can't follow: a range, two dimensions at once, or outside of the recipe.
    """
    everything = [composed, *(config for configs in options.values() for config in configs)]
    if not any(map(_interpolates, everything)):
        return set()
    parsed = parse_space(space, valid_keys=SEARCHABLE_KEYS)
    for group, configs in options.items():
        _refuse_following_options(group, configs, parsed)
    before = _resolved(composed)
    own = {key for d in parsed.dimensions for key in d.keys} | dict(parsed.constants).keys()
    followed: dict[str, str] = {}
    for key, value in parsed.constants:
        found = _changed(composed, {key: value}, before)
        space |= _followers(found, own, key, followed)
    for dimension in parsed.dimensions:
        found = {}
        for place in dimension.ends:
            found |= _changed(composed, dimension.values(place), before)
        keys = list(_followers(found, own, dimension.name, followed))
        if keys:
            entry = space[dimension.name]
            space[dimension.name] = {**_filled(dimension, keys, composed), **_condition(entry)}
    return set(followed)


def _refuse_following_options(group: str, configs: Sequence[DictConfig], space: Space) -> None:
    """An option's values are labels of a search: they would keep the base's searched value."""
    for config in configs:
        before = _resolved(config)
        for dimension in (d for d in space.dimensions if d.name != group):
            for place in dimension.ends:
                changed = _changed(config, dimension.values(place), before)
                if key := next((k for k in changed if k.startswith(f"{group}.")), None):
                    raise ConfigError(
                        "An option that is searched can't follow another searched key.",
                        value=f"`{key}` of `search.space.{group}` interpolates what "
                        f"`search.space.{dimension.name}` changes",
                        way_out="write its value out in the option's file",
                    )


def _changed(
    composed: DictConfig, values: Mapping[str, Any], before: Mapping[str, Any]
) -> dict[str, Any]:
    """What differs from the base configuration when these keys are set, beside themselves."""
    after = _resolved(_with(composed, values))
    return {
        key: value
        for key, value in after.items()
        if key not in values and (key not in before or before[key] != value)
    }


def _followers(
    found: Mapping[str, Any], own: set[str], source: str, followed: dict[str, str]
) -> dict[str, Any]:
    """Those of the keys that follow `source`: a key that is searched itself does not."""
    kept = {key: value for key, value in found.items() if key not in own}
    for key in kept:
        if key not in SEARCHABLE_KEYS:
            raise ConfigError(
                "Only settings of a run may follow a searched key.",
                value=f"`{key}` interpolates what `search.space.{source}` changes",
                way_out="write its value out",
            )
        if key in followed:
            raise ConfigError(
                "A setting may follow one dimension of `search.space` only.",
                value=f"`{key}` follows `{followed[key]}` and `{source}`",
                way_out="write labels that set all of them: "
                "`search.space.NAME={label: {key: value, key: value}, ...}`",
            )
        followed[key] = source
    return kept


def _filled(
    dimension: Dimension, keys: Sequence[str], composed: DictConfig
) -> dict[str, dict[str, Any]]:
    """The labels with what follows them."""
    if not isinstance(dimension, Choices):
        raise ConfigError(
            "A setting can follow listed values, not a range.",
            value=f"`{keys[0]}` interpolates `{dimension.name}`, a range from {dimension.low:g} "
            f"to {dimension.high:g}",
            way_out=f"list the values, for example search.space.{dimension.name}="
            f"[{dimension.low:g},{dimension.high:g}], or write out `{keys[0]}`",
        )
    labels = {label: dimension.values(label) for label in dimension.labels}
    return {label: {**values, **_at(composed, values, keys)} for label, values in labels.items()}


def _at(composed: DictConfig, values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    resolved = _with(composed, values)
    found = {key: OmegaConf.select(resolved, key) for key in keys}
    return {k: _plain(v) if OmegaConf.is_config(v) else v for k, v in found.items()}


def _with(composed: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    changed = copy.deepcopy(composed)
    for key, value in values.items():
        plain = list(value) if isinstance(value, tuple) else value
        OmegaConf.update(changed, key, plain, merge=False, force_add=True)
    return changed


def _condition(entry: object) -> dict[str, Any]:
    return {"when": entry["when"]} if isinstance(entry, Mapping) and "when" in entry else {}


def _interpolates(config: DictConfig) -> bool:
    return any(_MARK in str(value) for _, value in _leaves(_plain(config, resolve=False)))


def _resolved(config: DictConfig) -> dict[str, Any]:
    return dict(_leaves(_plain(config)))


def _plain(config: Any, *, resolve: bool = True) -> Any:
    return OmegaConf.to_container(config, resolve=resolve)


def _leaves(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; a list is a value."""
    if not isinstance(content, dict):
        yield prefix, content
        return
    for key, value in content.items():
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
