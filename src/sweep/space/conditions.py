"""Conditions between dimensions: an order to visit them in, and whether they can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from sweep.core.errors import ConfigError
from sweep.space.dimensions import Choices, Condition, Dimension


def sorted_by_conditions(dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
    """Each dimension behind those that its conditions name; otherwise the order is kept.

    Raises:
        ConfigError: a condition names no labelled dimension, a label that does not exist or
            the dimension itself, by whatever way round; or it can never hold.
    """
    named = {d.name: d for d in dimensions}
    for dimension in dimensions:
        for condition in dimension.when:
            _check_condition(dimension.name, condition, named)
    graph = {d.name: {c.name for c in d.when} for d in dimensions}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ConfigError(
            "A dimension of `search.space` can't depend on itself.",
            value=" -> ".join(map(str, error.args[1])),
            way_out="drop one of the `when`",
        ) from None
    depth = _depths(order, graph)
    ordered = tuple(sorted(dimensions, key=lambda d: depth[d.name]))
    for dimension in ordered:
        requirements(dimension, ordered)
    return ordered


def requirements(
    dimension: Dimension, dimensions: Sequence[Dimension]
) -> dict[str, tuple[str, ...]]:
    """Labels of other dimensions under which this one counts, theirs included.

    Raises:
        ConfigError: they exclude each other.
    """
    named = {d.name: d for d in dimensions}
    needed: dict[str, tuple[str, ...]] = {}
    open_conditions = list(dimension.when)
    while open_conditions:
        condition = open_conditions.pop()
        before = needed.get(condition.name, condition.labels)
        needed[condition.name] = tuple(label for label in before if label in condition.labels)
        open_conditions += named[condition.name].when
        if not needed[condition.name]:
            raise ConfigError(
                f"The conditions of `search.space.{dimension.name}` must be able to hold.",
                value=f"no label of `{condition.name}` fulfils all of them",
            )
    return needed


def _depths(order: Sequence[str], graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Length of the longest chain of conditions above each dimension."""
    depth: dict[str, int] = {}
    for name in order:
        depth[name] = 1 + max((depth[above] for above in graph[name]), default=-1)
    return depth


def _check_condition(name: str, condition: Condition, named: Mapping[str, Dimension]) -> None:
    above = named.get(condition.name)
    if not isinstance(above, Choices):
        labelled = [d.name for d in named.values() if isinstance(d, Choices) and d.name != name]
        raise ConfigError(
            f"`search.space.{name}.when` must name a dimension of choices.",
            value=f"`{condition.name}`",
            way_out=f"one of: {', '.join(labelled)}" if labelled else "add one to `search.space`",
        )
    for label in condition.labels:
        if label not in above.labels:
            raise ConfigError(
                f"`search.space.{name}.when` must name labels of `{condition.name}`.",
                value=f"`{label}`",
                way_out=f"one of: {', '.join(above.labels)}",
            )
