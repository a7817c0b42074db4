"""Asking a run to stop, while it trains and while its pack breaks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from executors import Open, open_in_process, open_processes, outcomes, run_of, scored
from sweep.loop.ports import Handle, Pack
from sweep.loop.trial import Event, Finished, Outcome, Progress, RunState
from sweep.study.notes import ask_to_stop, asked_to_stop


def train_until_asked_to_stop(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    for run in pack:
        handle(Progress(run.id, 1, 2))
        while (reason := asked_to_stop(runs_dir / run.id)) is None:
            time.sleep(0.02)
        handle(Finished(run.id, Outcome(RunState.PRUNED, reason=reason)))


@pytest.mark.parametrize("open_executor", [open_in_process, open_processes])
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


def train_broken_while_one_is_to_stop(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    first = pack[0]
    if len(pack) > 1:
        handle(Progress(first.id, 1, 2))
        while asked_to_stop(runs_dir / first.id) is None:
            time.sleep(0.02)
        raise KeyError("broken before anybody has looked")
    reason = asked_to_stop(runs_dir / first.id)
    handle(Finished(first.id, Outcome(RunState.PRUNED, reason=reason)) if reason else scored(first))


@pytest.mark.parametrize("open_executor", [open_in_process, open_processes])
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
    assert found[other.id].pearson == 0.16
    executor.close()
