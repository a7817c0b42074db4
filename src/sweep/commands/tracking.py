"""`wandb`, `mlflow`: give a tracker what it lacks of a study."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from sweep.commands.build import study_log
from sweep.core.commands import command
from sweep.core.errors import SweepError
from sweep.core.optional import trouble_with
from sweep.core.words import counted
from sweep.loop.ports import Totals
from sweep.study.lock import locked
from sweep.study.study import Study
from sweep.watch.mlflow_log import mlflow_watcher
from sweep.watch.mlflow_target import MlflowTarget, refuse_unusable
from sweep.watch.terminal import Countdown
from sweep.watch.wandb_catch_up import send, write_missing, writer_of
from sweep.watch.wandb_mode import refuse_broken, refuse_without_key
from sweep.watch.wandb_target import Target
from sweep.watch.wandb_writer import Writer


def write_to_wandb(
    folder: Path, *, online: bool, console: Console, say: Callable[[str], None]
) -> None:
    """Write what wandb lacks of a study from its records, each run once, and say what came of it.

    Args:
        online: Also send all that waits.

    Raises:
        StudyError: no study, or one that is driven right now.
        TrackingError: wandb is missing or broken, or has no key.
        SweepError: the server has not taken it all.
    """
    study = Study.open(folder)
    refuse_broken(trouble_with("wandb"), "`python -m sweep wandb`")
    if online:
        refuse_without_key()
    tracking = study.settings.tracking
    target = Target.of(tracking.get("project"), tracking.get("entity"))
    with locked(folder):
        writer = writer_of(study, target)
        read_study = functools.partial(study_log, study.results())
        written = write_missing(writer, study, read_study, Countdown(console, say).show)
        said = counted(written, "wandb run") if written else "nothing, wandb holds all of it"
        say(f"written from the records: {said}")
        waiting = writer.waiting()
        if online and waiting:
            send(folder, waiting)
            writer.write_sync_script()
            say(f"sent: {counted(len(waiting), 'wandb run')}")
        else:
            _say_what_waits(folder, writer, say)


def write_to_mlflow(
    folder: Path, *, uri: str | None, console: Console, say: Callable[[str], None]
) -> None:
    """Write what MLflow lacks of a study from its records, each run once.

    Args:
        uri: Where to; None takes what the study was set to, or the shell.

    Raises:
        StudyError: no study, or one that is driven right now.
        TrackingError: MLflow is missing or broken.
        SweepError: it has not taken it all.
    """
    study = Study.open(folder)
    tracking = study.settings.tracking
    of_mlflow = tracking if tracking.get("tracker") == "mlflow" else {}
    place = uri or of_mlflow.get("uri")
    target = MlflowTarget.of(place, of_mlflow.get("project"), folder.resolve().parent)
    refuse_unusable(target, "`python -m sweep mlflow`")
    say(target.said)
    with locked(folder):
        watcher = mlflow_watcher(
            folder,
            target=target,
            timeout_s=of_mlflow.get("timeout_s", 30.0),
            searched_keys=study.keys,
            read_study=functools.partial(study_log, study.results()),
            say=say,
            show_progress=Countdown(console, say, "MLflow").show,
        )
        ended = [(r.run, r.outcome) for r in study.records if r.outcome is not None]
        with watcher:
            watcher.opened(Totals(study.settings.name, len(ended)))
            for run, outcome in ended:
                watcher.run_reused(run, outcome)
    if watcher.lacks:
        raise SweepError(f"MLflow did not take all of {counted(len(ended), 'run')}.")
    say(f"MLflow holds all of it: {counted(len(ended), 'run')}, and the study's own")


def _say_what_waits(folder: Path, writer: Writer, say: Callable[[str], None]) -> None:
    script = writer.write_sync_script()
    if script is None:
        say("nothing is to be sent")
        return
    waiting = counted(len(writer.waiting()), "wandb run")
    say(f"{waiting} to be sent: {command('wandb', folder, '--online')}")
    say(f"or: sh {shlex.quote(str(script))}")
