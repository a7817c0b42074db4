"""How much of `data.label_range` the labels use: a head learns a part of its scale slowly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from sweep.core.arrays import Floats
from sweep.data.findings import Finding, Split

#: Scales that people score on. A split may well lack the ends of its scale.
_USUAL = ((0.0, 1.0), (-1.0, 1.0), (0.0, 4.0), (1.0, 5.0), (0.0, 5.0), (0.0, 10.0), (0.0, 100.0))
#: From this share of the range on, labels that use no more of it give cause for doubt.
_LITTLE = 0.6
#: A range that is hardly narrower is not worth a word.
_NARROWER = 0.9


def label_use(labels: Mapping[Split, Floats], allowed: tuple[float, float]) -> list[Finding]:
    """Labels that leave a part of the allowed range unused, with the range to set."""
    every = np.concatenate(list(labels.values()))
    low, high = float(every.min()), float(every.max())
    width = allowed[1] - allowed[0]
    fits = _fitting(low, high)
    if fits[1] - fits[0] > _NARROWER * width:
        return []
    used = (high - low) / width
    sentence = (
        f"labels lie between {low:g} and {high:g}, {_percent(used)} of "
        f"data.label_range=[{allowed[0]:g},{allowed[1]:g}]: "
        f"data.label_range=[{fits[0]:g},{fits[1]:g}] fits, and trains to another result"
    )
    level: Literal["info", "warn"] = "warn" if used <= _LITTLE else "info"
    return [Finding("label_range", level, tuple(labels), sentence, len(every))]


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.1g}"


def _fitting(low: float, high: float) -> tuple[float, float]:
    """The narrowest usual scale of which these labels use a half; else whole steps around them."""
    for start, end in sorted(_USUAL, key=lambda scale: scale[1] - scale[0]):
        if start <= low and high <= end and high - low >= (end - start) / 2:
            return start, end
    step = 10.0 ** math.floor(math.log10(high - low))
    return _rounded(math.floor(low / step) * step), _rounded(math.ceil(high / step) * step)


def _rounded(end: float) -> float:
    """The product of a step such as 0.1 has more digits than a person would write."""
    return float(f"{end:.12g}")
