"""What is said of a sweep under way where nobody sees a live view."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from sweep.core.recipe import Recipe
from sweep.loop.ports import Totals
from sweep.loop.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Glimpse,
    Glimpsed,
    Outcome,
    Progress,
    Run,
    RunState,
    Started,
)
from sweep.watch import console as module
from sweep.watch.console import ConsoleWatcher

RUN = Run(0, {"lora.r": "8", "trainer.learning_rate": 0.005}, Recipe(seed=1))


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


def lines_of(events: list[tuple[float, Event]], clock: Clock) -> list[str]:
    """What is printed when these events come so many seconds one after the other."""
    out = io.StringIO()
    watcher = ConsoleWatcher(Console(file=out, width=80))
    watcher.opened(Totals("s", 8))
    for seconds, event in events:
        clock.now += seconds
        watcher.run_event(RUN, event)
    watcher.closed()
    return out.getvalue().splitlines()


def test_values_stand_beside_their_keys(clock: Clock) -> None:
    (line,) = lines_of([(0, Started(RUN.id, "worker-0"))], clock)
    assert line == "started      000 r=8 lr=0.005 s1"


def test_a_line_now_and_then_says_how_far_it_is_and_how_long_it_takes(clock: Clock) -> None:
    steps = [(1.0, Progress(RUN.id, step, 200)) for step in range(1, 101)]
    lines = lines_of([(0, Started(RUN.id, "worker-0")), *steps], clock)
    told = [line for line in lines if line.startswith("under way")]
    assert len(told) == 3
    assert "1 run, up to step 90 of 200; 0 of 8 done; 25 min 10 s left" in told[-1]


def test_first_score_is_shown_at_once_and_those_of_its_pack_are_not_repeated(clock: Clock) -> None:
    score = Evaluated(RUN.id, Evaluation(20, 1.0, 0.61234, 0.6, 0.1))
    begun: list[tuple[float, Event]] = [(0, Started(RUN.id, "w")), (9, Progress(RUN.id, 20, 200))]
    lines = lines_of([*begun, (0.1, score), (0.1, score)], clock)
    (told,) = [line for line in lines if line.startswith("under way")]
    assert "dev up to 0.6123" in told


def test_a_glimpse_is_shown_at_once_and_called_one(clock: Clock) -> None:
    glimpse = Glimpsed(RUN.id, Glimpse(12, 0.5312))
    lines = lines_of([(0, Started(RUN.id, "w")), (9, glimpse)], clock)
    assert "dev up to about 0.53" in lines[-1]
    score = Evaluated(RUN.id, Evaluation(20, 1.0, 0.41234, 0.6, 0.1))
    lines = lines_of([(0, Started(RUN.id, "w")), (9, glimpse), (9, score)], clock)
    assert "dev up to 0.4123" in lines[-1]


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_live_view_fits_80_columns_and_shows_curve_leader_and_time(
    clock: Clock, encoding: str
) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    screen = Console(file=out, width=80, force_terminal=True, legacy_windows=False)
    watcher = ConsoleWatcher(screen)
    long = Run(1, {f"lora.{name}": "8" for name in ("r", "lora_alpha", "lora_dropout")}, Recipe())
    watcher.opened(Totals("s", 8))
    for run in (RUN, long):
        watcher.run_event(run, Started(run.id, "w"))
        watcher.run_event(run, Glimpsed(run.id, Glimpse(12, 0.53)))
        clock.now += 10
        watcher.run_event(run, Progress(run.id, 120, 200))
    watcher.run_event(long, Finished(long.id, Outcome(RunState.COMPLETE, score=0.81)))
    view = watcher._view()
    watcher.closed()
    with screen.capture() as shown:
        screen.print(view)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.get()).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "about 0.53" in lines[0]
    assert ("▅" in lines[0]) == (encoding == "utf-8")
    assert re.search(r"left, best 0\.8100: 001 r=8 alpha=8", lines[-1])
