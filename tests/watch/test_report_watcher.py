"""When the report is rebuilt, and what stays if that fails."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from studies import GRID, Page, study
from sweep.core.recipe import Recipe
from sweep.loop.ports import Totals
from sweep.loop.trial import Event, Finished, Outcome, Run, RunState, Started
from sweep.watch.report import ReportWatcher, build_report


def test_failed_rebuild_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(tmp_path / "s", GRID[:1])
    path = build_report(tmp_path / "s")
    before = path.read_bytes()

    def full_disk(source: object, target: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.raises(OSError, match="No space left"):
            build_report(tmp_path / "s")
    assert path.read_bytes() == before
    assert [p.name for p in (tmp_path / "s").glob("*report*")] == ["report.html"]


class Clock:
    """Time that passes only when told; a build takes `build_s` of it."""

    def __init__(self, build_s: float = 0.0) -> None:
        self.now = 1000.0
        self.builds: list[float] = []
        self._build_s = build_s

    def __call__(self) -> float:
        return self.now

    def build(self, folder: Path) -> None:
        self.builds.append(self.now)
        self.now += self._build_s


def watch(clock: Clock, seconds: int, event: Event, **options: float) -> ReportWatcher:
    """A watcher that saw this event each second."""
    watcher = ReportWatcher(Path("unused"), build=clock.build, clock=clock, **options)
    watcher.opened(Totals("s", runs=seconds))
    run = Run(0, {}, Recipe())
    for _ in range(seconds):
        watcher.run_event(run, event)
        clock.now += 1
    return watcher


FINISHED = Finished("x-s0", Outcome(RunState.COMPLETE, score=0.8))


def test_watcher_rebuilds_at_most_every_so_often() -> None:
    clock = Clock()
    watch(clock, 60, FINISHED, every_s=20.0)
    assert clock.builds == [1000, 1020, 1040]


def test_watcher_takes_at_most_a_twentieth_of_the_time() -> None:
    clock = Clock(build_s=5.0)
    watch(clock, 500, FINISHED, every_s=1.0)
    gaps = np.diff(clock.builds)
    assert len(gaps) >= 3
    assert min(gaps) >= 5.0 / 0.05


def test_watcher_builds_at_the_end_and_not_for_small_events() -> None:
    clock = Clock()
    watcher = watch(clock, 60, Started("x-s0", "cpu0"), every_s=1.0)
    assert clock.builds == []
    watcher.closed()
    assert clock.builds == [1060]


def test_watcher_writes_the_report(tmp_path: Path) -> None:
    study(tmp_path / "s", GRID[:2])
    watcher = ReportWatcher(tmp_path / "s")
    watcher.opened(Totals("s", runs=2))
    watcher.closed()
    text = Page(tmp_path / "s" / "report.html").text
    assert "is best (dev Pearson" in text
