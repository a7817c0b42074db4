"""What is said of failed runs: to try them again is advised only where it would help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sweep.commands.closing_words import failure_lines
from sweep.core.errors import ModelError, RunFailed
from sweep.core.recipe import Recipe
from sweep.execute.boundary import Boundary
from sweep.loop.ports import Handle, Pack
from sweep.loop.trial import Event, Finished, Outcome, Run, RunState
from sweep.study.record import Record


def failed(trial: int, *, recurs: bool) -> Record:
    run = Run(trial, {"rank": str(trial)}, replace(Recipe(), seed=trial))
    outcome = Outcome(RunState.FAILED, reason=f"reason {trial}", recurs=recurs)
    return Record(run, RunState.FAILED, outcome)


@pytest.mark.parametrize(
    ("recurring", "last"),
    [
        ((False, False), "The same command tries them again."),
        (
            (True, True),
            "They would fail like this again: change what these configs have in common.",
        ),
        ((True, False), "The same command tries them again; 1 of 2 would fail as before."),
    ],
)
def test_same_command_is_advised_only_where_it_would_help(
    recurring: tuple[bool, ...], last: str
) -> None:
    lines = failure_lines([failed(n, recurs=one) for n, one in enumerate(recurring)])
    assert lines[-1] == last
    assert any("reason 0" in line for line in lines)


def test_without_failures_nothing_is_said() -> None:
    assert failure_lines([]) == []


class OutOfMemoryError(RuntimeError):
    """As that of torch, which is known by its name."""


@pytest.mark.parametrize(
    ("error", "recurs"),
    [
        (RunFailed("the predictions are constant up to rounding"), True),
        (ModelError("no"), True),
        (IndexError("index out of range in self"), True),
        (RuntimeError("shapes differ"), True),
        (OSError("no space left on device"), False),
        (MemoryError(), False),
        (OutOfMemoryError("CUDA out of memory"), False),
        (RuntimeError("CUDA error: an unspecified launch failure"), False),
    ],
)
def test_failure_of_the_training_itself_recurs_that_of_the_machine_may_not(
    error: Exception, recurs: bool, tmp_path: Path
) -> None:
    events: list[Event] = []
    Boundary(_raising(error), runs_dir=tmp_path, worker="here").attempt(
        (Run(0, {}, Recipe()),), events.append
    )
    (outcome,) = [event.outcome for event in events if isinstance(event, Finished)]
    assert outcome.state is RunState.FAILED
    assert outcome.recurs is recurs


def _raising(error: Exception) -> Callable[[Pack, Path, Handle], None]:
    def train(*_: object) -> None:
        raise error

    return train
