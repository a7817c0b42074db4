"""`verify --retrain`: the training of an exported config, once more, with its progress."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from sweep.export.retrain import Retrained, exported_run, retrain
from sweep.loop.ports import Totals
from sweep.loop.trial import Event
from sweep.watch.console import ConsoleWatcher


def retrained(folder: Path, console: Console, *, base: str | None) -> Retrained:
    """Train again, and show how far it is.

    Raises:
        ExportError: the folder is not an exported one.
        VerificationError: the training fails.
    """
    run = exported_run(folder, base=base)
    watcher = ConsoleWatcher(console)
    watcher.opened(Totals(folder.name, runs=1))

    def show(event: Event) -> None:
        watcher.run_event(run, event)

    try:
        return retrain(run, folder, show)
    finally:
        watcher.closed()
