"""Searched keys as factors: the level of each config, and the mean of each level.

The mean of a level is that of an additive least-squares model with every config set to that
level. On a full grid it is the plain mean over the level's cells: levels are compared within cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.stats import rankdata

from sweep.core.arrays import Floats
from sweep.core.words import TOGETHER

#: Distinct numbers of one key above which they are seen as a range, in thirds.
MAX_LEVELS = 8


@dataclass(frozen=True)
class Range:
    """Numbers of one key, `[K]`, of which there are too many for a level each."""

    key: str
    numbers: tuple[float, ...]

    @property
    def is_log(self) -> bool:
        """Whether they are best seen on a log scale."""
        return min(self.numbers) > 0 and max(self.numbers) > 10 * min(self.numbers)

    @property
    def places(self) -> list[float]:
        """From 0 to 1 by rank; equal numbers have one place."""
        ranks: list[float] = rankdata(self.numbers).tolist()
        return [(rank - 1) / max(len(ranks) - 1, 1) for rank in ranks]

    @property
    def ends(self) -> tuple[float, float, float]:
        """Lowest, middle and highest number."""
        ordered = sorted(self.numbers)
        return ordered[0], ordered[len(ordered) // 2], ordered[-1]


@dataclass(frozen=True)
class Factor:
    """A key and the level of each config, `[K]` indices into `levels`.

    Keys that change together can't be told apart: they are one factor, `lora.r + lora.lora_alpha`.
    `values` `[K]` are exact. `range` is given where the levels are thirds of one.
    """

    key: str
    levels: tuple[str, ...]
    of_config: tuple[int, ...]
    values: tuple[object, ...]
    range: Range | None = None

    def configs_at(self, level: int) -> list[int]:
        """Indices of the configs of a level."""
        return [config for config, own in enumerate(self.of_config) if own == level]


def factors_of(configs: Sequence[Mapping[str, object]], keys: Sequence[str]) -> list[Factor]:
    """The keys that vary; numbers with many values in thirds, keys that change together as one."""
    found: dict[tuple[int, ...], list[Factor]] = {}
    for key in keys:
        factor = factor_of(key, [config[key] for config in configs])
        if len(factor.levels) > 1:
            found.setdefault(_partition(factor.of_config), []).append(factor)
    return [_merged(together) for together in found.values()]


def factor_of(key: str, values: Sequence[object]) -> Factor:
    """One key by itself, whether it varies or not."""
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == len(values) and len(set(numbers)) > MAX_LEVELS:
        return _in_thirds(key, numbers)
    kinds = sorted(set(values), key=lambda v: (v not in numbers, v if v in numbers else str(v)))
    names = tuple(map(_text, kinds))
    return Factor(key, names, tuple(kinds.index(v) for v in values), tuple(values))


class LevelMeans:
    """The additive model over some configs: which weights make the mean of a level.

    `design` `[K, columns]` has one column a level, after a column of ones.
    """

    def __init__(self, factors: Sequence[Factor]) -> None:
        self.factors = factors
        self.design = design_of(factors)

    @cached_property
    def _inverse(self) -> Floats:
        return np.asarray(np.linalg.pinv(self.design), dtype=np.float64)

    def weights(self, factor: Factor, level: int) -> tuple[Floats, bool]:
        """Weights of the configs' means in the mean of a level, `[K]`, and whether it is balanced.

        Where other keys change with this one so that the model can't separate them, it is the
        plain mean of the level.
        """
        at_level = replace(factor, of_config=(level,) * len(factor.of_config))
        levels = [at_level if f is factor else f for f in self.factors]
        row = design_of(levels).mean(axis=0)
        weights = np.asarray(row @ self._inverse, dtype=np.float64)
        if np.allclose(weights @ self.design, row, atol=1e-6):
            return weights, True
        members = np.array(factor.of_config) == level
        return np.asarray(members / members.sum(), dtype=np.float64), False

    def all_weights(self, factor: Factor) -> Floats:
        """Of every level, `[L, K]`."""
        return np.array([self.weights(factor, level)[0] for level in range(len(factor.levels))])


def is_balanced(factor: Factor, factors: Sequence[Factor]) -> bool:
    """Whether each level meets the same settings of the other keys, equally often."""
    met: dict[int, list[tuple[int, ...]]] = {}
    for config, level in enumerate(factor.of_config):
        rest = tuple(f.of_config[config] for f in factors if f is not factor)
        met.setdefault(level, []).append(rest)
    groups = [sorted(rest) for rest in met.values()]
    return all(group == groups[0] for group in groups)


def design_of(factors: Sequence[Factor]) -> Floats:
    """One column a level, `[K, columns]`, after a column of ones."""
    parts = [
        np.equal.outer(np.array(f.of_config), np.arange(len(f.levels))).astype(np.float64)
        for f in factors
    ]
    return np.column_stack([np.ones(len(factors[0].of_config)), *parts])


def _in_thirds(key: str, values: Sequence[float]) -> Factor:
    """Levels with a third of the configs each, named by their ends."""
    numbers = np.array(values, dtype=np.float64)
    ends = np.quantile(numbers, [1 / 3, 2 / 3])
    third = np.searchsorted(ends, numbers, side="left")
    kinds = sorted(set(third.tolist()))
    names = [
        f"{numbers[third == kind].min():.3g} to {numbers[third == kind].max():.3g}"
        for kind in kinds
    ]
    levels = tuple(kinds.index(kind) for kind in third.tolist())
    return Factor(key, tuple(names), levels, tuple(values), Range(key, tuple(numbers.tolist())))


def _merged(together: Sequence[Factor]) -> Factor:
    """Factors with the same partition of the configs, as one."""
    first = together[0]
    if len(together) == 1:
        return first
    names = [
        TOGETHER.join(f.levels[f.of_config[first.of_config.index(level)]] for f in together)
        for level in range(len(first.levels))
    ]
    return Factor(
        TOGETHER.join(f.key for f in together),
        tuple(names),
        first.of_config,
        tuple(zip(*(f.values for f in together), strict=True)),
        next((f.range for f in together if f.range is not None), None),
    )


def _partition(levels: Sequence[int]) -> tuple[int, ...]:
    """The same for two factors that tell the same configs apart."""
    seen: dict[int, int] = {}
    return tuple(seen.setdefault(level, len(seen)) for level in levels)


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)
