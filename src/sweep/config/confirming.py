"""What confirms a search, by the settings."""

from __future__ import annotations

from sweep.config.schema import Settings
from sweep.loop.confirm import Confirmation


def confirmation_of(settings: Settings, *, runs: int) -> Confirmation:
    """What follows a search of so many runs."""
    return Confirmation(
        top=settings.confirm.top,
        seeds=settings.confirm.seeds,
        baseline=settings.baseline_id,
        most=int(settings.confirm.share * runs),
        spare=settings.num_spare_runs,
    )
