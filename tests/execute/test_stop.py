"""Asking a run to stop, while it trains and while its pack breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from executors import Open, outcomes, run_of
from sweep.loop.trial import Event, Progress
from sweep.study.notes import ask_to_stop
from trainings import train_broken_while_one_is_to_stop, train_until_asked_to_stop

pytestmark = pytest.mark.long


def test_stop_reaches_a_run_and_no_later_attempt(open_executor: Open, tmp_path: Path) -> None:
    executor = open_executor(train_until_asked_to_stop, tmp_path)
    run = run_of(8)
    for reason in ("first", "second"):
        # A note of before the start is for nobody.
        ask_to_stop(tmp_path / "runs" / run.id, "stale")
        executor.submit((run,))
        events: list[Event] = []

        def handle(event: Event, reason: str = reason, events: list[Event] = events) -> None:
            events.append(event)
            if isinstance(event, Progress):
                executor.stop(run.id, reason)

        while executor.num_open:
            executor.work(handle)
        assert outcomes(events)[run.id].reason == reason
    executor.close()


def test_stop_that_comes_while_a_pack_breaks_holds_for_its_retry(
    open_executor: Open, tmp_path: Path
) -> None:
    executor = open_executor(train_broken_while_one_is_to_stop, tmp_path)
    stopped, other = run_of(8), run_of(16)
    executor.submit((stopped, other))
    events: list[Event] = []

    def handle(event: Event) -> None:
        events.append(event)
        if isinstance(event, Progress):
            executor.stop(stopped.id, "pruned at step 1")

    while executor.num_open:
        executor.work(handle)
    found = outcomes(events)
    assert found[stopped.id].reason == "pruned at step 1"
    assert found[other.id].score == 0.16
    executor.close()
