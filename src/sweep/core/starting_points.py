"""Points that a search tries first: known good configs, as the user writes them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from sweep.core.dimensions import Choices, Params, Place, label_of
from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.core.space import Space

_ENTRY = "An entry of `search.start_with`"


def start_point(entry: Mapping[str, Any], space: Space, base: Recipe) -> Params:
    """The point that an entry of `search.start_with` means.

    Args:
        entry: Dimension to label or number, or dotted key to value; what it leaves out is as in
            the base recipe.
        base: The recipe that the space starts from.

    Raises:
        ConfigError: a name or value that the space does not have, or one that does not count
            beside the others.
    """
    named = {d.name: d for d in space.dimensions}
    chosen: Params = {}
    values: dict[str, Any] = {}
    for name, value in entry.items():
        dimension = named.get(name)
        if isinstance(dimension, Choices) and label_of(value) in dimension.labels:
            chosen[name] = label_of(value)
        elif name in space.keys:
            values[name] = tuple(value) if isinstance(value, list) else value
        else:
            raise _unknown(name, value, space)
    point = space.point_of(lambda key: values.get(key, base.value_of(key)), chosen)
    _refuse_idle(entry, point, space)
    return point


def _unknown(name: str, value: Any, space: Space) -> ConfigError:
    named = {d.name: d for d in space.dimensions}
    dimension = named.get(name)
    if isinstance(dimension, Choices):
        labels = ", ".join(dimension.labels)
        return ConfigError(
            f"{_ENTRY} must name a label of `{name}`.", value=value, way_out=f"one of: {labels}"
        )
    names = list(dict.fromkeys([*named, *space.keys]))
    near = get_close_matches(name, names, n=1)
    way_out = f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(names)}"
    if name in SEARCHABLE_KEYS:
        way_out = f"set it for the whole sweep: `{name}={label_of(value)}`"
    return ConfigError(
        f"{_ENTRY} must name dimensions or searched keys.", value=f"`{name}`", way_out=way_out
    )


def _refuse_idle(entry: Mapping[str, Any], point: Mapping[str, Place], space: Space) -> None:
    for dimension in space.dimensions:
        if dimension.name not in point and set(entry) & {dimension.name, *dimension.keys}:
            raise ConfigError(
                f"{_ENTRY} must fulfil the conditions of what it sets.",
                value=f"`{dimension.name}` does not count beside {dict(point)}",
            )
