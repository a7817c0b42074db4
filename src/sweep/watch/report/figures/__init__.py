"""Figures of the report, as plain plotly dictionaries whose colours are tokens (`palette`)."""
