"""Search space: named choices and ranges, and what each point sets in a recipe.

A choice is a short label with the dotted keys it sets, so that pairs such as (r, alpha) stay
together and Optuna stores labels only (lists and tuples in its storage break on resume).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sweep.core.errors import ConfigError

#: A point of the space: dimension name to label (choices) or number (ranges).
Params = dict[str, str | int | float]


@dataclass(frozen=True)
class Choices:
    """A dimension of labelled options; each option sets one or more dotted keys."""

    name: str
    options: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for label, _ in self.options)

    @property
    def keys(self) -> tuple[str, ...]:
        """Dotted keys that the options set, in order of first mention."""
        return tuple(dict.fromkeys(key for _, values in self.options for key, _ in values))

    def values(self, label: str | int | float) -> dict[str, Any]:
        """What a label sets, e.g. `r8_a16` gives `{"lora.r": 8, "lora.lora_alpha": 16}`."""
        return dict(dict(self.options)[str(label)])


@dataclass(frozen=True)
class Range:
    """A dimension of numbers from `low` to `high`, both included; its name is the key it sets."""

    name: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    integer: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.name,)

    def values(self, number: str | int | float) -> dict[str, Any]:
        return {self.name: int(number) if self.integer else float(number)}

    def points(self) -> tuple[int | float, ...]:
        """The numbers a grid visits.

        Raises:
            ConfigError: the range has no step, so it has no grid.
        """
        if self.step is None:
            raise ConfigError(
                f"A grid needs a list of values or a range with `step` for `{self.name}`.",
                value=f"low {self.low:g}, high {self.high:g}, no step",
                way_out="list the values, add `step`, or take `search=tpe` or `search=random`",
            )
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        numbers = (self.low + i * self.step for i in range(count))
        return tuple(round(n) if self.integer else round(n, 12) for n in numbers)


Dimension = Choices | Range


@dataclass(frozen=True)
class Space:
    """All dimensions of a search; without any, it has one point: the base recipe."""

    dimensions: tuple[Dimension, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every dotted key that is searched, in the order of the configuration."""
        return tuple(dict.fromkeys(key for d in self.dimensions for key in d.keys))

    def values(self, params: Params) -> dict[str, Any]:
        """The dotted keys and values that a point sets."""
        return {
            key: value
            for dimension in self.dimensions
            for key, value in dimension.values(params[dimension.name]).items()
        }

    def grid(self) -> list[Params]:
        """All cells, the last dimension changing fastest."""
        axes = [d.labels if isinstance(d, Choices) else d.points() for d in self.dimensions]
        names = [d.name for d in self.dimensions]
        return [dict(zip(names, cell, strict=True)) for cell in itertools.product(*axes)]

    def corners(self) -> list[Params]:
        """Cells with every label and both ends of every range: where bad values show first."""
        axes: list[tuple[str | int | float, ...]] = [
            d.labels if isinstance(d, Choices) else (d.low, d.high) for d in self.dimensions
        ]
        longest = max((len(axis) for axis in axes), default=1)
        names = [d.name for d in self.dimensions]
        # One cell per value is enough: each value is looked at, not each combination.
        return [
            {name: axis[min(i, len(axis) - 1)] for name, axis in zip(names, axes, strict=True)}
            for i in range(longest)
        ]


def parse_space(content: Mapping[str, Any], *, valid_keys: Iterable[str]) -> Space:
    """Turn the `search.space` mapping into a `Space`.

    Three forms, one an entry:
        `lora.lora_dropout: [0.0, 0.1]`             values of one key
        `lora.r: {low: 4, high: 64, log: true}`     a range of one key
        `rank: {r8_a16: {lora.r: 8, ...}, ...}`     labels that set several keys

    Raises:
        ConfigError: an entry of another form, an unknown key, the seed, or a key set twice.
    """
    valid = set(valid_keys)
    # A dimension set to null on the command line is taken out of the search.
    entries = {name: entry for name, entry in content.items() if entry is not None}
    space = Space(tuple(_parse_dimension(name, entry, valid) for name, entry in entries.items()))
    seen: dict[str, str] = {}
    for dimension in space.dimensions:
        for key in dimension.keys:
            if key in seen:
                raise ConfigError(
                    "A key may be set by one dimension of `search.space` only.",
                    value=f"`{key}` is set by `{seen[key]}` and by `{dimension.name}`",
                    way_out="merge the two into labelled choices, or drop one",
                )
            seen[key] = dimension.name
    return space


def label_of(value: object) -> str:
    """Short text of a value for Optuna and tables: `0.1`, `true`, `query+value`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "+".join(label_of(inner) for inner in value)
    return "none" if value is None else str(value)


def _parse_dimension(name: str, entry: object, valid: set[str]) -> Dimension:
    if isinstance(entry, Mapping) and {"low", "high"} <= set(entry):
        _check_key(name, name, valid)
        return _parse_range(name, entry)
    if isinstance(entry, (list, tuple)) and entry:
        _check_key(name, name, valid)
        return Choices(name, tuple((label_of(v), ((name, _frozen(v)),)) for v in _unique(entry)))
    if isinstance(entry, Mapping) and entry and all(isinstance(v, Mapping) for v in entry.values()):
        for values in entry.values():
            for key in values:
                _check_key(key, name, valid)
        return _parse_labelled(name, entry)
    raise ConfigError(
        f"`search.space.{name}` must be a list of values, a range `{{low, high}}`, "
        "or labels with the keys they set.",
        value=repr(entry),
        way_out=f"for example `{name}: [value, value]`",
    )


def _parse_labelled(name: str, entry: Mapping[str, Mapping[str, Any]]) -> Choices:
    choices = Choices(
        name,
        tuple(
            (str(label), tuple((key, _frozen(v)) for key, v in values.items()))
            for label, values in entry.items()
        ),
    )
    for label in choices.labels:
        missing = set(choices.keys) - set(choices.values(label))
        if missing:
            raise ConfigError(
                f"Every label of `search.space.{name}` must set the same keys.",
                value=f"`{label}` does not set {', '.join(sorted(missing))}",
                way_out="write the value out, also where it is the default",
            )
    return choices


def _parse_range(name: str, entry: Mapping[str, Any]) -> Range:
    unknown = set(entry) - {"low", "high", "log", "step"}
    low, high, step, log = entry["low"], entry["high"], entry.get("step"), bool(entry.get("log"))
    if unknown or not _is_number(low) or not _is_number(high) or low > high:
        raise ConfigError(
            f"`search.space.{name}` must be `{{low, high[, log][, step]}}` with low <= high.",
            value=dict(entry),
        )
    if log and (low <= 0 or step is not None):
        raise ConfigError(
            f"A log range `search.space.{name}` needs low > 0 and no step.", value=dict(entry)
        )
    if step is not None and (not _is_number(step) or step <= 0):
        raise ConfigError(f"The step of `search.space.{name}` must be above 0.", value=step)
    integer = all(isinstance(n, int) for n in (low, high, 1 if step is None else step))
    return Range(name, low, high, log=log, step=step, integer=integer)


def _check_key(key: str, dimension: str, valid: set[str]) -> None:
    if key == "seed" or key.endswith(".seed"):
        raise ConfigError(
            "The seed can't be searched: the luckiest seed is not a setting.",
            value=f"`{key}` in `search.space.{dimension}`",
            way_out="list seeds under `search.seeds`; a config's score is their mean",
        )
    if key not in valid:
        from difflib import get_close_matches

        near = get_close_matches(key, sorted(valid), n=1)
        raise ConfigError(
            "Every key of `search.space` must be a key of the configuration.",
            value=f"`{key}` in `search.space.{dimension}`",
            way_out=f"did you mean `{near[0]}`?" if near else "see `python -m sweep --cfg`",
        )


def _unique(values: Iterable[Any]) -> list[Any]:
    return list({label_of(value): value for value in values}.values())


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
