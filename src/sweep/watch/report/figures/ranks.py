"""How much of its rank each layer used, and how far the update moved it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

from sweep.study.rank_use import ModuleUse, mean_by_place
from sweep.watch.report.figures.parts import Figure, heat_map, layout


def rank_map(
    use: Sequence[ModuleUse], measure: Literal["effective_rank", "norm"], title: str
) -> Figure:
    """Means by layer (rows, the first below) and module.

    Every module has its place, also where nothing is known of it. What is outside of the layers
    is on top.
    """
    means = mean_by_place(use, measure)
    numbered = sorted({layer for layer, _ in means if layer is not None})
    # A module that is in no numbered layer, such as a pooler.
    layers = [*numbered, *([None] if any(layer is None for layer, _ in means) else [])]
    modules = sorted({module for _, module in means})
    cells = {
        (layers.index(layer), modules.index(module)): (
            mean,
            "" if mean is None else f"<b>{mean:.2f}</b><br>{_place(layer)}, {escape(module)}",
        )
        for (layer, module), mean in means.items()
    }
    names = ["outside" if layer is None else str(layer) for layer in layers]
    digits = 1 if measure == "effective_rank" else 2
    trace = heat_map(names, modules, cells, digits=digits, title=title)
    shape = layout(
        height=110 + 26 * len(layers),
        x={"type": "category", "showgrid": False},
        y={"title": {"text": "layer"}, "type": "category", "showgrid": False},
    )
    return {"data": [trace], "layout": shape}


def _place(layer: int | None) -> str:
    return "outside of the layers" if layer is None else f"layer {layer}"
