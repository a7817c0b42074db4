"""Configs that somebody adds to a study by hand: notes in its folder, read by its driver."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.core.dimensions import is_active
from sweep.core.errors import ConfigError
from sweep.core.files import write_text
from sweep.core.recipe import fingerprint
from sweep.core.space import Choices, Dimension, Params, Range, Space, label_of

_FOLDER = "added"


def add_point(study: Path, point: Params) -> None:
    """Leave a note; the driver takes it up, now or at its next start."""
    path = study / _FOLDER / f"{fingerprint(point)}.json"
    write_text(path, json.dumps(point, ensure_ascii=False))


def added_points(study: Path) -> list[tuple[Path, Params]]:
    """The notes that are there, which whoever has taken them up removes."""
    return [(p, json.loads(p.read_text("utf-8"))) for p in sorted((study / _FOLDER).glob("*.json"))]


def point_of(space: Space, given: Mapping[str, Any], base: Mapping[str, Any]) -> Params:
    """The point of a space with the given values; what is not given is as in `base`.

    Args:
        given: Dotted keys, or names of dimensions with one of their labels.
        base: Every dotted key of the study's settings.

    Raises:
        ConfigError: the space does not hold such a point, or does not search a key.
    """
    names = {name for d in space.dimensions for name in (d.name, *d.keys)}
    for key in given:
        if key not in names:
            raise ConfigError(
                "A config that is added sets keys that the study searches.",
                value=f"`{key}`",
                way_out=f"searched are {', '.join(sorted(names))}",
            )
    point: Params = {}
    for dimension in space.dimensions:
        if is_active(dimension, point):
            point[dimension.name] = _place(dimension, given, base)
    return point


def _place(
    dimension: Dimension, given: Mapping[str, Any], base: Mapping[str, Any]
) -> str | int | float:
    if isinstance(dimension, Range):
        return _number(dimension, given.get(dimension.name, base[dimension.name]))
    if dimension.name in given and label_of(given[dimension.name]) in dimension.labels:
        return label_of(given[dimension.name])
    asked = {key: given[key] for key in dimension.keys if key in given}
    fitting = _labels(dimension, asked)
    if len(fitting) > 1 or not asked:
        # The study's own settings decide between labels that differ in other keys.
        fitting = _labels(dimension, {key: base[key] for key in dimension.keys} | asked)
    if len(fitting) != 1 or (dimension.name in given and not asked):
        named = asked or {dimension.name: given.get(dimension.name, "not given")}
        raise ConfigError(
            f"A config of this study has one of the labels of `{dimension.name}`.",
            value=", ".join(f"{key}={label_of(value)}" for key, value in named.items()),
            way_out=f"valid: {', '.join(_described(dimension))}",
        )
    return fitting[0]


def _labels(dimension: Choices, wanted: Mapping[str, Any]) -> list[str]:
    """Labels that set these values."""
    return [
        label
        for label in dimension.labels
        if all(_same(dimension.values(label)[key], value) for key, value in wanted.items())
    ]


def _described(dimension: Choices) -> list[str]:
    """Labels, with what they set where their names may not say it."""
    if dimension.keys == (dimension.name,):
        return list(dimension.labels)
    return [
        f"{label} ({' '.join(f'{k}={label_of(v)}' for k, v in dimension.values(label).items())})"
        for label in dimension.labels
    ]


def _number(dimension: Range, value: Any) -> int | float:
    number = _float(value)
    step, low, high = dimension.step, dimension.low, dimension.high
    fits = number is not None and low <= number <= high
    if fits and number is not None and (dimension.integer or step is not None):
        steps = (number - low) / (step or 1)
        fits = abs(steps - round(steps)) < 1e-9
    if not fits or number is None:
        by = f" in steps of {step:g}" if step is not None else ""
        raise ConfigError(
            f"`{dimension.name}` must lie in the range that the study searches.",
            value=label_of(value),
            way_out=f"from {low:g} to {high:g}{by}",
        )
    return int(number) if dimension.integer else number


def _same(a: Any, b: Any) -> bool:
    if label_of(a) == label_of(b):
        return True
    first, second = _float(a), _float(b)
    return first is not None and first == second


def _float(value: Any) -> float | None:
    """Also of text that YAML takes for a word (`1e-3`)."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
