"""What a section is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sweep.stats.by_level import FactorScores
from sweep.watch.report.figures.parts import Figure, with_score


@dataclass(frozen=True)
class Plot:
    """Figures that take turns in one place, by the name of their button.

    `scores`, where given, are said below by the macro `effect`.
    """

    title: str
    figures: Mapping[str, Figure]
    scores: FactorScores | None = None
    #: It takes the whole width, whatever stands beside it.
    wide: bool = False

    def with_score(self, word: str) -> Plot:
        """Its figures with the word for what the scores are of."""
        named = {name: with_score(figure, word) for name, figure in self.figures.items()}
        return replace(self, figures=named)


@dataclass(frozen=True)
class Table:
    """Rows of cells, sortable. `heads` are title and whether the column holds numbers."""

    heads: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences and a note, a table, plots.

    `facts` are for the template `sections/<anchor>.html.j2`, where there is one.
    """

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    note: str = ""
    table: Table | None = None
    plots: tuple[Plot, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def with_score(self, word: str) -> Section:
        """Its plots with the word for what the scores are of."""
        return replace(self, plots=tuple(plot.with_score(word) for plot in self.plots))
