"""Executors whose workers may be on other machines, each made of its settings."""

from __future__ import annotations

from sweep.config.executor_settings import ExecutorSettings
from sweep.execute.folder.executor import Folder
from sweep.loop.ports import Executor
from sweep.study.exchange import ExchangeFiles
from sweep.study.files import StudyFiles


def afar_executor(
    settings: ExecutorSettings, files: StudyFiles, *, workers: int, pack_size: int
) -> Executor:
    """The driver's side of it; workers talk to it through the study's folder."""
    return Folder(
        exchange=ExchangeFiles(files.exchange),
        runs_dir=files.runs,
        logs_dir=files.logs,
        workers=workers,
        pack_size=pack_size,
        lost_after_s=settings.lost_after_s,
        grace_s=settings.grace_s,
        threads=settings.threads,
    )
