"""How much of its rank each layer used, and how far the update moved it."""

from __future__ import annotations

from html import escape

import pandas as pd

from sweep.watch.report.figures.parts import Figure, heat_map, layout


def rank_map(use: pd.DataFrame, column: str, title: str) -> Figure:
    """Means of `effective_rank` or `norm` by layer (rows, the first below) and module.

    Args:
        use: Rows of `rank_use.csv`.
    """
    grid = use.pivot_table(index="layer", columns="module", values=column, aggfunc="mean")
    order = sorted(grid.index, key=lambda layer: (not str(layer).isdigit(), layer))
    grid = grid.reindex(order)
    texts = pd.DataFrame(
        [
            [
                f"<b>{value:.2f}</b><br>layer {escape(str(layer))}, {escape(str(module))}"
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
