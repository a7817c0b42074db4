"""Points of a space by what they set: as in the base recipe, or as a user writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS
from sweep.core.words import label_of
from sweep.space.dimensions import Choices, Dimension, Params, Place, Range, is_active
from sweep.space.space import Space


def point_of(
    space: Space,
    base: Callable[[str], Any],
    given: Mapping[str, Any] | None = None,
    *,
    subject: str = "The base recipe",
) -> Params:
    """The point with the given values; where these leave a choice, it is as in the base.

    Values may be written otherwise than in the space: `8.0` for 8, and the text `1e-3`, which YAML
    takes for a word.

    Args:
        base: The value under a dotted key.
        given: Dimension to label or number, or dotted key to value.
        subject: What the point is for the user, to begin a sentence with.

    Raises:
        ConfigError: a name or value that the space does not have, or one that does not count
            beside the others.
    """
    given = given or {}
    for name, value in given.items():
        _refuse_unknown(name, value, space, subject)
    point: Params = {}
    for dimension in space.dimensions:
        if is_active(dimension, point):
            point[dimension.name] = _place(dimension, base, given, subject)
        elif set(given) & {dimension.name, *dimension.keys}:
            raise ConfigError(
                f"{subject} must fulfil the conditions of what it sets.",
                value=f"`{dimension.name}` does not count beside {point}",
            )
    return point


def _refuse_unknown(name: str, value: Any, space: Space, subject: str) -> None:
    names = list(dict.fromkeys([*(d.name for d in space.dimensions), *space.keys]))
    if name in names:
        return
    way_out = f"searched are {', '.join(names) or 'none'}"
    near = get_close_matches(name, names, n=1)
    if name in SEARCHABLE_KEYS:
        way_out += f"; `{name}={label_of(value)}` sets it for a whole sweep"
    elif near:
        way_out = f"did you mean `{near[0]}`?"
    raise ConfigError(
        f"{subject} must name dimensions or searched keys.", value=f"`{name}`", way_out=way_out
    )


def _place(
    dimension: Dimension, base: Callable[[str], Any], given: Mapping[str, Any], subject: str
) -> Place:
    asked = {name: given[name] for name in (dimension.name, *dimension.keys) if name in given}
    known = {key: base(key) for key in dimension.keys} | asked
    if isinstance(dimension, Range):
        places, asked = _numbers(dimension, known[dimension.name]), known
    else:
        places = _labels(dimension, asked)
        if len(places) > 1 or not asked:
            places, asked = _labels(dimension, known), known
    if not places:
        found = ", ".join(f"`{name}` {label_of(value)}" for name, value in asked.items())
        raise ConfigError(
            f"{subject} must lie in `search.space.{dimension.name}`.",
            value=f"{found} is not in it",
            way_out=_described(dimension),
        )
    # Labels that all of the known values fit are the same config.
    return places[0]


def _numbers(dimension: Range, value: Any) -> list[Place]:
    """The number that the value means, where the range holds it."""
    number = _number(value)
    if number is None or not dimension.holds(number):
        return []
    return [dimension.place(number)]


def _labels(dimension: Choices, wanted: Mapping[str, Any]) -> list[Place]:
    """Labels that set these values, or are named so."""

    def fits(label: str, name: str, value: Any) -> bool:
        if name == dimension.name and label_of(value) == label:
            return True
        values = dimension.values(label)
        return name in values and _is_same(values[name], value)

    return [
        label
        for label in dimension.labels
        if all(fits(label, name, value) for name, value in wanted.items())
    ]


def _described(dimension: Dimension) -> str:
    """What the dimension holds; labels with what they set, where their names may not say it."""
    if isinstance(dimension, Range):
        step = 1 if dimension.integer and dimension.step is None else dimension.step
        by = "" if step is None else f" in steps of {step:g}"
        return f"from {dimension.low:g} to {dimension.high:g}{by}"
    if dimension.keys == (dimension.name,):
        return f"one of: {', '.join(dimension.labels)}"
    described = (
        f"{label} ({' '.join(f'{k}={label_of(v)}' for k, v in dimension.values(label).items())})"
        for label in dimension.labels
    )
    return f"one of: {', '.join(described)}"


def _is_same(a: Any, b: Any) -> bool:
    if label_of(a) == label_of(b):
        return True
    number = _number(a)
    return number is not None and number == _number(b)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
