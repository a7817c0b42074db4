"""Dimensions of a search space: labelled choices, ranges of numbers, and when they count.

A choice is a short label with the dotted keys it sets, so that pairs such as (r, alpha) stay
together and Optuna stores labels only (lists and tuples in its storage break on resume).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.core.errors import ConfigError

#: A place on a dimension: a label (choices) or a number (ranges).
Place = str | int | float
#: A point of the space: the place on each dimension that counts there.
Params = dict[str, Place]


@dataclass(frozen=True)
class Condition:
    """Another dimension, by name, and the labels of it under which a dimension counts."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Choices:
    """A dimension of labelled options; each option sets one or more dotted keys."""

    name: str
    options: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
    when: tuple[Condition, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for label, _ in self.options)

    @property
    def keys(self) -> tuple[str, ...]:
        """Dotted keys that the options set, in order of first mention."""
        return tuple(dict.fromkeys(key for _, values in self.options for key, _ in values))

    @property
    def ends(self) -> tuple[Place, ...]:
        """Where bad values show first: every label."""
        return self.labels

    @property
    def num_points(self) -> int | None:
        return len(self.options)

    def points(self) -> tuple[Place, ...]:
        """What a grid visits."""
        return self.labels

    def holds(self, place: Place) -> bool:
        return place in self.labels

    def values(self, label: Place) -> dict[str, Any]:
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
    when: tuple[Condition, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def ends(self) -> tuple[Place, ...]:
        """Where bad values show first: both ends."""
        return (self.low, self.high)

    @property
    def num_points(self) -> int | None:
        """Numbers that can be drawn; None where they can't be counted."""
        step = 1 if self.integer and self.step is None else self.step
        return None if step is None else _num_steps(self.high - self.low, step) + 1

    def points(self) -> tuple[Place, ...]:
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
        count = _num_steps(self.high - self.low, self.step) + 1
        return tuple(self.place(self.low + i * self.step) for i in range(count))

    def place(self, number: float) -> int | float:
        """The place that a number of the range means, as its grid has it."""
        if self.integer:
            return round(number)
        if self.step is None:
            return float(number)
        return snapped(number, low=self.low, high=self.high, step=self.step)

    def holds(self, place: Place) -> bool:
        if isinstance(place, (str, bool)) or not self.low <= place <= self.high:
            return False
        if self.integer and place != round(place):
            return False
        steps = 0.0 if self.step is None else (place - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8

    def values(self, number: Place) -> dict[str, Any]:
        return {self.name: self.place(float(number))}


Dimension = Choices | Range


def is_active(dimension: Dimension, params: Mapping[str, Place]) -> bool:
    """Whether a dimension counts at a point; those it depends on are in `params` already."""
    return all(params.get(condition.name) in condition.labels for condition in dimension.when)


def snapped(number: float, *, low: float, high: float, step: float) -> float:
    """The number of the grid from `low` in steps that is meant.

    3 * 0.1 is 0.30000000000000004, where the user says 0.3: two numbers would be two configs.
    """
    nearest = round(low + round((number - low) / step) * step, 12)
    return float(min(max(nearest, low), high))


def _num_steps(width: float, step: float) -> int:
    return math.floor(width / step + 1e-9)
