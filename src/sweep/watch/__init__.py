"""Watchers: listeners to the events of a sweep. Only these print or import wandb and plotly."""
