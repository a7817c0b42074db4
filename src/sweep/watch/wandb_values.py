"""What only wandb is given: tables and figures as its own objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sweep.watch.tracked_values import StudyLog

if TYPE_CHECKING:
    import pandas as pd
    import wandb


def media_of(log: StudyLog) -> dict[str, Any]:
    """Tables and figures of a study, by the key that they are logged under."""
    # Both take long to import, and a sweep without tracking needs neither.
    import plotly.graph_objects as go
    import wandb

    tables = {"runs": log.runs, **log.tables}
    return {
        **{name: wandb_table(table) for name, table in tables.items()},
        **{
            f"report/{name}": wandb.Plotly(go.Figure(data=figure["data"], layout=figure["layout"]))
            for name, figure in log.figures.items()
        },
    }


def wandb_table(table: pd.DataFrame) -> wandb.Table:
    import wandb

    # Missing in pandas is NaN or NA, by column; wandb knows None.
    cells = table.astype(object).where(table.notna(), None)
    rows: Any = cells.to_numpy().tolist()
    return wandb.Table(columns=list(table.columns), data=rows, allow_mixed_types=True)
