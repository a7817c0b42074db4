"""Search space: its dimensions and constants, and what each point sets in a recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sweep.core.errors import ConfigError
from sweep.space.conditions import requirements, sorted_by_conditions
from sweep.space.dimensions import Choices, Dimension, Params, Place, Range, is_active
from sweep.space.parsing import check_key, is_constant, parse_dimension

__all__ = ["Choices", "Dimension", "Params", "Range", "Space", "parse_space"]

#: Keys that follow from `model.path`.
_FOLLOWING = ("model.sha256", "model.hub_name")


@dataclass(frozen=True)
class Space:
    """All dimensions of a search; without any, it has one point: the base recipe.

    A dimension stands behind those that its conditions name. Where it does not count, its keys
    keep the base recipe's values, and a point does not mention it.
    """

    dimensions: tuple[Dimension, ...] = ()
    #: Dotted keys with the value that every point sets.
    constants: tuple[tuple[str, Any], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every dotted key that is searched and tells configs apart, in the order of the space."""
        keys = dict.fromkeys(key for d in self.dimensions for key in d.keys)
        return tuple(key for key in keys if key not in _FOLLOWING or "model.path" not in keys)

    @property
    def is_conditional(self) -> bool:
        return any(d.when for d in self.dimensions)

    @property
    def num_points(self) -> int | None:
        """Points in total; None where a range without step makes them endless."""
        entangled = {c.name for d in self.dimensions for c in d.when}
        entangled |= {d.name for d in self.dimensions if d.when}
        counts = [d.num_points for d in self.dimensions]
        if any(count is None for count in counts):
            return None
        free = [d.num_points or 1 for d in self.dimensions if d.name not in entangled]
        return math.prod(free) * self._num_entangled(entangled)

    def num_configs(self, most: int | None) -> int:
        """Configs of a search that draws so many at most; None trains every cell of a grid."""
        points = self.num_points
        if most is None:
            return points or 0
        return min(most, points or most)

    def values(self, params: Params) -> dict[str, Any]:
        """The dotted keys and values that a point sets."""
        searched = {
            key: value
            for dimension in self.dimensions
            if dimension.name in params
            for key, value in dimension.values(params[dimension.name]).items()
        }
        return {**dict(self.constants), **searched}

    def holds(self, params: Mapping[str, Place]) -> bool:
        """Whether this is a point: a valid place on each dimension that counts, and no other."""
        active = [d for d in self.dimensions if is_active(d, params)]
        return set(params) == {d.name for d in active} and all(
            d.holds(params[d.name]) for d in active
        )

    def grid(self) -> list[Params]:
        """All cells, the last dimension changing fastest.

        Raises:
            ConfigError: a range without step has no cells.
        """
        cells: list[Params] = [{}]
        for dimension in self.dimensions:
            points = dimension.points()
            cells = [
                longer
                for cell in cells
                for longer in (
                    [{**cell, dimension.name: point} for point in points]
                    if is_active(dimension, cell)
                    else [cell]
                )
            ]
        return cells

    def corners(self) -> list[Params]:
        """Cells with every label and both ends of every range: where bad values show first."""
        axes = {d.name: d.ends for d in self.dimensions}
        longest = max(map(len, axes.values()), default=1)
        # One cell per value is enough: each value is looked at, not each combination.
        cells: list[Params] = [
            {name: axis[min(i, len(axis) - 1)] for name, axis in axes.items()}
            for i in range(longest)
        ]
        for dimension in self.dimensions:
            if dimension.when:
                needed = requirements(dimension, self.dimensions)
                fulfilled = {name: labels[0] for name, labels in needed.items()}
                cells += [{**cells[0], **fulfilled, dimension.name: end} for end in dimension.ends]
        return _distinct(self._without_idle(cell) for cell in cells)

    def _without_idle(self, cell: Params) -> Params:
        params: Params = {}
        for dimension in self.dimensions:
            if is_active(dimension, params):
                params[dimension.name] = cell[dimension.name]
        return params

    def _num_entangled(self, names: set[str]) -> int:
        """Points of the dimensions that conditions join, told apart by the labels they look at."""
        asked = {c.name for d in self.dimensions for c in d.when}
        counts: dict[tuple[tuple[str, Place], ...], int] = {(): 1}
        for dimension in (d for d in self.dimensions if d.name in names):
            grown: dict[tuple[tuple[str, Place], ...], int] = {}
            for known, count in counts.items():
                if not is_active(dimension, dict(known)):
                    grown[known] = grown.get(known, 0) + count
                elif dimension.name in asked:
                    for place in dimension.ends:
                        grown[(*known, (dimension.name, place))] = count
                else:
                    grown[known] = grown.get(known, 0) + count * (dimension.num_points or 1)
            counts = grown
        return sum(counts.values())


def parse_space(content: Mapping[str, Any], *, valid_keys: Iterable[str]) -> Space:
    """Turn the `search.space` mapping into a `Space`.

    Each entry is one of:
        `lora.lora_dropout: [0.0, 0.1]`             values of one key
        `lora.r: {low: 4, high: 64, log: true}`     a range of one key
        `rank: {r8_a16: {lora.r: 8, ...}, ...}`     labels that set several keys
        `lora.use_rslora: true`                     a constant
    A range and labels may have `when: {other: [label, ...]}` beside them; for a list of values
    it is written `{values: [...], when: {...}}`.

    Raises:
        ConfigError: an entry of another form, an unknown key, the seed, a key set twice, or a
            condition that can't hold.
    """
    valid = set(valid_keys)
    # A dimension set to null on the command line is taken out of the search.
    entries = {name: entry for name, entry in content.items() if entry is not None}
    constants = {name: entry for name, entry in entries.items() if is_constant(entry)}
    for name in constants:
        check_key(name, name, valid)
    dimensions = [
        parse_dimension(name, entry, valid)
        for name, entry in entries.items()
        if name not in constants
    ]
    _refuse_keys_set_twice(dimensions, constants)
    return Space(sorted_by_conditions(dimensions), tuple(constants.items()))


def _refuse_keys_set_twice(dimensions: Iterable[Dimension], constants: Iterable[str]) -> None:
    seen = {key: key for key in constants}
    for dimension in dimensions:
        for key in dimension.keys:
            if key in seen:
                raise ConfigError(
                    "A key may be set by one dimension of `search.space` only.",
                    value=f"`{key}` is set by `{seen[key]}` and by `{dimension.name}`",
                    way_out="merge the two into labelled choices, or drop one",
                )
            seen[key] = dimension.name


def _distinct(cells: Iterable[Params]) -> list[Params]:
    return [dict(items) for items in dict.fromkeys(tuple(cell.items()) for cell in cells)]
