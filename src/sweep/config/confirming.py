"""What confirms a search, by the settings."""

from __future__ import annotations

from sweep.config.schema import Settings
from sweep.loop.confirm import Confirmation


def confirmation_of(settings: Settings, *, runs: int) -> Confirmation:
    """What follows a search of so many runs."""
    each = settings.confirm.each
    labels = next((d.ends for d in settings.space.dimensions if d.name == each), ())
    return Confirmation(
        top=len(labels) if each and settings.confirm.top else settings.confirm.top,
        each=each,
        seeds=settings.confirm.seeds,
        baseline=settings.baseline_id,
        most=int(settings.confirm.share * runs),
        spare=settings.num_spare_runs,
    )
