"""Layers with numbers of their own: a value of the configuration with a hash."""

from __future__ import annotations

import json
import re
from typing import Any


class Pattern(dict[str, Any]):
    """`lora.rank_pattern`, `lora.alpha_pattern`: numbers by the names of layers.

    A plain dictionary for JSON and YAML, with a hash: the recipe that holds it has one. Its order
    means nothing, since no layer may be named by two keys.
    """

    def at(self, path: str, usual: float) -> float:
        """The number of the layer of this path, or the usual one where no key fits it."""
        return next((float(number) for key, number in self.items() if fits(key, path)), usual)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True))


def fits(key: str, path: str) -> bool:
    """Whether a key means a layer, as in PEFT: a regular expression for the end of its path, from a
    dot or from the start on."""
    return re.match(rf"(.*\.)?({key})$", path) is not None
