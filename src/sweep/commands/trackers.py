"""Which tracker a sweep has: wandb, MLflow or none; asked before anything is loaded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from sweep.commands.build import study_log
from sweep.config.schema import Settings, TrackingSettings
from sweep.study.tables import Results
from sweep.watch.mlflow_log import mlflow_watcher
from sweep.watch.mlflow_target import MlflowTarget, refuse_unusable
from sweep.watch.terminal import Countdown
from sweep.watch.tracking import TrackingWatcher
from sweep.watch.wandb_log import wandb_watcher
from sweep.watch.wandb_mode import Tracking, resolve_mode
from sweep.watch.wandb_target import Target


def resolved(settings: Settings) -> tuple[Tracking, list[str]]:
    """What tracking comes to on this machine, and lines for the user if there is news.

    Raises:
        TrackingError: it can't be had.
    """
    tracking = settings.tracking
    if tracking.tracker == "mlflow" and tracking.mode != "disabled":
        target = _mlflow_target(tracking, settings.folder)
        refuse_unusable(target, "`tracking=mlflow`")
        return "online", [target.said]
    mode, line = resolve_mode(tracking.mode)
    shell = None if mode == "disabled" else Target.of(tracking.project, tracking.entity).said
    return mode, [said for said in (line, shell) if said]


def tracker_of(
    results: Results,
    tracking: TrackingSettings,
    console: Console,
    *,
    mode: Tracking,
    say: Callable[[str], None],
) -> TrackingWatcher | None:
    """Who tells the tracker; to be entered as a context around all that it is to hold.

    Args:
        mode: As it was resolved.
        say: Shows the user a line.
    """
    if mode == "disabled":
        return None
    read_study = functools.partial(study_log, results)
    if tracking.tracker == "mlflow":
        return mlflow_watcher(
            results.folder,
            target=_mlflow_target(tracking, results.folder),
            timeout_s=tracking.timeout_s,
            searched_keys=results.keys,
            read_study=read_study,
            say=say,
            show_progress=Countdown(console, say, "MLflow").show,
        )
    return wandb_watcher(
        results.folder,
        mode=mode,
        target=Target.of(tracking.project, tracking.entity),
        timeout_s=tracking.timeout_s,
        searched_keys=results.keys,
        read_study=read_study,
        on_url=results.set_wandb_url,
        say=say,
        show_progress=Countdown(console, say).show,
    )


def _mlflow_target(tracking: TrackingSettings, study: Path) -> MlflowTarget:
    return MlflowTarget.of(tracking.uri, tracking.project, study.parent)
