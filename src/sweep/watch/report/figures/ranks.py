"""How much of its rank each layer used, and how far the update moved it."""

from __future__ import annotations

from html import escape

import pandas as pd

from sweep.watch.report.figures.parts import Figure, heat_map, layout

#: Row of the modules that are in no numbered layer, such as a pooler.
_OUTSIDE = "outside"


def rank_map(use: pd.DataFrame, column: str, title: str) -> Figure:
    """Means of `effective_rank` or `norm` by layer (rows, the first below) and module.

    Every module has its place, also where nothing is known of it. What is outside of the layers
    is on top.

    Args:
        use: Rows of `rank_use.csv`.
    """
    # As whole numbers: a column of numbers that lacks some is read as floats.
    layers = use["layer"].astype("Int64")
    named = use.assign(layer=layers.astype("string").fillna(_OUTSIDE))
    rows = [str(layer) for layer in sorted(layers.dropna().unique())]
    rows += [_OUTSIDE] if layers.isna().any() else []
    # An update of zero has no effective rank: pivot_table would leave its module out.
    means = named.groupby(["layer", "module"])[column].mean().astype(float)
    grid = means.unstack("module").reindex(rows)
    texts = pd.DataFrame(
        [
            [
                f"<b>{value:.2f}</b><br>{_place(str(layer))}, {escape(str(module))}"
                for module, value in row.items()
            ]
            for layer, row in grid.iterrows()
        ]
    )
    trace = heat_map(grid, texts, digits=1 if column == "effective_rank" else 2, title=title)
    shape = layout(
        height=110 + 26 * len(grid),
        x={"type": "category", "showgrid": False},
        y={"title": {"text": "layer"}, "type": "category", "showgrid": False},
    )
    return {"data": [trace], "layout": shape}


def _place(layer: str) -> str:
    return "outside of the layers" if layer == _OUTSIDE else f"layer {layer}"
