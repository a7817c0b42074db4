"""Configs by rank and alpha rule, as the shape of score over learning rate is fitted to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sweep.core.arrays import Floats
from sweep.stats.levels import MAX_LEVELS, Factor, LevelMeans
from sweep.stats.rank_law import Adapter, AlphaRule
from sweep.stats.shared_shape import Shape, Tried

#: Names of the levels that are compared at their own best rate, beside other keys.
RANK, RULE = "r", "alpha rule"
#: Rates of a rank and rule, below which nothing is said of their best rate.
FEWEST_RATES = 3


@dataclass(frozen=True)
class Scored:
    """A config that was trained: its adapter, its learning rate, its score.

    `others` are the levels of what else was searched; where the key is in `moving`, the level may
    have its own best rate, too.
    """

    adapter: Adapter
    rate: float
    score: float
    others: Mapping[str, str]


@dataclass(frozen=True)
class Cell:
    """A rank, or ranks of one octave, under the rules that its configs follow."""

    band: int
    rules: tuple[int, ...]


class RateTable:
    """Configs, their cells and columns, and what a fit of them says."""

    def __init__(
        self,
        configs: Sequence[Scored],
        cells: Sequence[Cell],
        rules: Sequence[AlphaRule],
        *,
        others: bool,
        moving: Sequence[str],
    ) -> None:
        self.configs, self._of_config, self.rules = configs, cells, rules
        self.cells = sorted(set(cells), key=lambda cell: (cell.rules, cell.band))
        keys = list(configs[0].others) if others else []
        self._levels = {key: _levels(configs, key) for key in keys}
        self._levels = {key: levels for key, levels in self._levels.items() if len(levels) > 1}
        moved = {key: levels for key, levels in self._levels.items() if key in moving}
        self.tried = Tried(
            np.log([config.rate for config in configs]),
            np.array([config.score for config in configs], dtype=np.float64),
            tuple(self.cells.index(cell) for cell in cells),
            _columns(configs, self._levels),
            _columns(configs, moved),
        )

    def contrasts(self, shape: Shape) -> dict[str, dict[str, Floats]]:
        """By key and level: which weights of the parameters make the score at the own best rate."""
        return {
            **self._of_ranks_and_rules(shape),
            **{key: self._of_other(shape, key) for key in self._levels},
        }

    def _of_ranks_and_rules(self, shape: Shape) -> dict[str, dict[str, Floats]]:
        """Means of an additive model over ranks and rules, each compared within the other."""
        met = [(place, rule) for rule in range(len(self.rules)) for place in self.places_of(rule)]
        bands = sorted({cell.band for cell in self.cells})
        of_rank = tuple(bands.index(self.cells[place].band) for place, _ in met)
        of_rule = tuple(rule for _, rule in met)
        names = tuple(self.band(band)[0] for band in bands)
        rules = tuple(rule.name for rule in self.rules)
        factors = [Factor(RANK, names, of_rank, of_rank), Factor(RULE, rules, of_rule, of_rule)]
        model = LevelMeans([f for f in factors if len(f.levels) > 1])
        found: dict[str, dict[str, Floats]] = {}
        for factor in model.factors:
            weights = model.all_weights(factor)
            found[factor.key] = {}
            for name, row in zip(factor.levels, weights, strict=True):
                by_cell = np.zeros(len(self.cells))
                np.add.at(by_cell, [place for place, _ in met], row)
                found[factor.key][name] = shape.weights(shape.tops, by_cell)
        return found

    def _of_other(self, shape: Shape, key: str) -> dict[str, Floats]:
        """Beside the key's first level, which has no column of its own."""
        columns = [(k, level) for k, levels in self._levels.items() for level in levels[1:]]
        return {
            level: shape.weights(shape.lifts, np.array([float(c == (key, level)) for c in columns]))
            for level in self._levels[key]
        }

    def top(self, shape: Shape, one: Floats) -> Floats:
        """Of a cell, at the mean of the other settings."""
        weights = shape.weights(shape.tops, one)
        weights[shape.lifts] = self.tried.lifts.mean(axis=0)
        return weights

    def places_of(self, rule: int) -> list[int]:
        """Cells of a rule, the lowest rank first."""
        own = [p for p, cell in enumerate(self.cells) if rule in cell.rules]
        return sorted(own, key=lambda place: self.cells[place].band)

    def band(self, band: int) -> tuple[str, float]:
        """Name and middle of the ranks of a band."""
        ranks = sorted(
            config.adapter.rank
            for config, cell in zip(self.configs, self._of_config, strict=True)
            if cell.band == band
        )
        middle = math.exp(float(np.mean(np.log(ranks))))
        low, high = ranks[0], ranks[-1]
        return (f"{low}", float(low)) if low == high else (f"{low} to {high}", middle)


def in_cells(
    configs: Sequence[Scored], rules: Sequence[AlphaRule]
) -> tuple[list[Scored], list[Cell]]:
    """The configs that follow a rule, each with its cell; cells of too few rates are left out."""
    are_many = len({config.adapter.rank for config in configs}) > MAX_LEVELS
    known: dict[Cell, list[Scored]] = {}
    for config in configs:
        own = tuple(n for n, rule in enumerate(rules) if rule.holds(config.adapter))
        rank = config.adapter.rank
        # Ranks that are one of many are seen by octaves, an octave under its first rule.
        cell = Cell(round(math.log2(rank)), own[:1]) if are_many else Cell(rank, own)
        if own:
            known.setdefault(cell, []).append(config)
    enough = {
        cell: found
        for cell, found in known.items()
        if len({config.rate for config in found}) >= FEWEST_RATES
    }
    kept = [(config, cell) for cell, found in enough.items() for config in found]
    return [config for config, _ in kept], [cell for _, cell in kept]


def _levels(configs: Sequence[Scored], key: str) -> list[str]:
    return list(dict.fromkeys(config.others[key] for config in configs))


def _columns(configs: Sequence[Scored], levels: Mapping[str, Sequence[str]]) -> Floats:
    """A column for each level but the first of its key, `[K, n]`."""
    columns = [
        [float(config.others[key] == level) for config in configs]
        for key, names in levels.items()
        for level in names[1:]
    ]
    return np.array(columns, dtype=np.float64).reshape(len(columns), len(configs)).T
