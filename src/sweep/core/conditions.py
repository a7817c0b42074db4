"""What a cell must hold for its row to count: a value of the configuration with a hash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Conditions(dict[str | int, Any]):
    """`data.where`: what a cell must hold, by column; the names of columns are texts.

    A plain dictionary for JSON and YAML, with a hash: the recipe that holds it has one.
    """

    @classmethod
    def of(cls, content: Mapping[Any, Any]) -> Conditions:
        return cls({str(key): _condition(value) for key, value in content.items()})

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True, default=str))


def _condition(value: Any) -> Any:
    """As it comes back from JSON and YAML."""
    if isinstance(value, Mapping):
        return {str(key): _condition(inner) for key, inner in value.items()}
    return [*value] if isinstance(value, (list, tuple)) else value
