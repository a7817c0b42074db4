"""All that wandb lacks of a study, at once: written from its records, and sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sweep.core.errors import SweepError
from sweep.study.files import StudyFiles
from sweep.study.study import Study
from sweep.watch.tracked_values import StudyLog
from sweep.watch.wandb_setup import stop_wandb, wandb_variables
from sweep.watch.wandb_target import Target
from sweep.watch.wandb_writer import Writer

_PATIENCE_SECONDS = 3.0


def writer_of(study: Study, target: Target) -> Writer:
    """Of what wandb lacks of a study."""
    return Writer(study.folder, study.settings.name, target, study.keys, timeout_s=30.0)


def write_missing(
    writer: Writer,
    study: Study,
    read_study: Callable[[], StudyLog],
    show_progress: Callable[[int], None],
) -> int:
    """Write the runs that wandb lacks, and the study's own, to files; how many there were."""
    ended = [(r.run, r.outcome) for r in study.records if r.outcome is not None]
    written = 0
    with wandb_variables(study.folder.resolve()):
        try:
            for done, (run, outcome) in enumerate(ended):
                show_progress(len(ended) - done)
                written += writer.add_run(run, outcome, "offline")
            written += bool(ended) and writer.add_study(read_study, "offline")
        finally:
            show_progress(0)
            stop_wandb(_PATIENCE_SECONDS)
            writer.write_sync_script()
    return written


def send(folder: Path, names: list[str]) -> None:
    """Send wandb's files, with its own command, which shows how far it is.

    Args:
        folder: Of the study.
        names: Of the folders that wait.

    Raises:
        SweepError: the server has not taken them all.
    """
    files = StudyFiles(folder).wandb
    with wandb_variables(folder.resolve()):
        command = [sys.executable, "-m", "wandb", "sync", "--include-online", *names]
        code = subprocess.run(command, cwd=files, env=dict(os.environ), check=False).returncode
    if code:
        raise SweepError(
            f"wandb did not take all of {len(names)} runs (`wandb sync` ended with {code}); what "
            "it has not taken stays in the study, and the same command sends it."
        )
