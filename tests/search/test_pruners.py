"""Pruners: what is cut, counted in evaluations, over restarts and in a grown space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optuna_studies import search
from sweep.core.recipe import SEARCHABLE_KEYS
from sweep.search import OptunaSearch, SearchTask
from sweep.space.space import parse_space


@pytest.mark.long
@pytest.mark.parametrize("pruner", ["median", "percentile", "asha", "hyperband"])
def test_what_falls_behind_is_pruned_counts_as_tried_and_is_not_asked_again(
    pruner: Any, tmp_path: Path
) -> None:
    space = parse_space({"lora.r": {"low": 1, "high": 64}}, valid_keys=SEARCHABLE_KEYS)

    def opened() -> OptunaSearch:
        return OptunaSearch(
            tmp_path / "study.db",
            SearchTask(name="s", space=space, sampler="random", num_trials=16, pruner=pruner),
        )

    cut = 0
    for start in (0, 8):
        # The second half is asked after a restart.
        search = opened()
        for place in range(start, start + 8):
            trial = search.ask()
            assert trial is not None
            # The first ones are good, the later ones hopeless.
            value = 0.9 if place < 6 else 0.1 - place / 1000
            stopped = any(search.report(trial.number, step, value) for step in (1, 2, 4, 8))
            cut += stopped
            search.tell(trial.number, None if stopped else value, pruned=stopped)
    assert cut >= 6
    assert opened().ask() is None


def ends(
    folder: Path,
    steps: Sequence[int],
    *,
    trials: int = 12,
    restart_at: int | None = None,
    **arguments: Any,
) -> list[int | None]:
    """Which evaluation, from 1, ends each of the trials with flat curves; None: it goes through.

    Args:
        restart_at: An evaluation after whose report the driver dies, of every fourth trial: it
            comes again, and its run reports again from its first evaluation on.
    """
    space = {"lora.lora_dropout": {"low": 0.0, "high": 0.5}}

    def opened() -> OptunaSearch:
        return search(folder, space, sampler="random", num_trials=trials, **arguments)

    chooser, found = opened(), []
    for place, quality in enumerate(np.random.default_rng(0).random(trials).tolist()):
        trial = chooser.ask()
        assert trial is not None
        if restart_at is not None and place % 4 == 3:
            any(chooser.report(trial.number, step, quality) for step in steps[:restart_at])
            chooser = opened()
            assert chooser.ask() == trial
        cut = (n for n, s in enumerate(steps, 1) if chooser.report(trial.number, s, quality))
        found.append(next(cut, None))
        value = quality if found[-1] is None else None
        chooser.tell(trial.number, value, pruned=value is None)
    return found


@pytest.mark.long
@pytest.mark.parametrize("pruner", ["median", "percentile", "asha", "hyperband"])
def test_pruner_counts_in_evaluations_whatever_their_steps_and_over_restarts(
    tmp_path: Path, pruner: str
) -> None:
    one_by_one = ends(tmp_path / "ones", range(1, 5), pruner=pruner)
    assert ends(tmp_path / "many", range(250, 1001, 250), pruner=pruner) == one_by_one
    assert ends(tmp_path / "again", range(1, 5), pruner=pruner, restart_at=3) == one_by_one
    assert set(one_by_one) > {None}


@pytest.mark.long
@pytest.mark.parametrize("pruner", ["median", "percentile", "asha"])
@pytest.mark.parametrize("leader", [0.1, 0.9])
def test_pruner_of_a_grown_space_knows_what_was_trained_before(
    tmp_path: Path, pruner: str, leader: float
) -> None:
    small, large = ({"lora.r": {"low": 1, "high": high}} for high in (64, 65))

    def decisions(folder: Path, space: dict[str, Any]) -> list[int | None]:
        drawn: dict[str, Any] = {"sampler": "random", "num_trials": 13, "pruner": pruner}
        opened, found = search(folder, space, **drawn), []
        for value in [0.5, 0.6, 0.55, 0.4, 0.65, 0.3, leader, 0.58, 0.62, 0.52, 0.7, 0.45, 0.35]:
            if len(found) == 6:
                opened = search(folder, large, **drawn)
            trial = opened.ask()
            assert trial is not None
            reports = (n for n in (1, 2, 3) if opened.report(trial.number, 10 * n, value * n))
            found.append(next(reports, None))
            # Of those of the small space, none may be asked for again.
            whole = found[-1] is None or len(found) <= 6
            opened.tell(trial.number, value if whole else None, pruned=not whole)
        return found

    grown, always_large = decisions(tmp_path / "a", small), decisions(tmp_path / "b", large)
    assert grown == always_large
    assert any(grown[6:])


@pytest.mark.long
@pytest.mark.parametrize(("grace", "reduction", "rungs"), [(1, 3, {1, 3}), (2, 2, {2, 4, 8})])
def test_asha_cuts_at_the_rungs_of_grace_and_reduction_alone(
    tmp_path: Path, grace: int, reduction: int, rungs: set[int]
) -> None:
    steps = range(125, 1001, 125)
    found = ends(tmp_path, steps, trials=30, pruner="asha", grace=grace, reduction=reduction)
    assert {end for end in found if end is not None} == rungs
    # One rung is won at a time: about the best one in `reduction` passes the first.
    passed = sum(end != grace for end in found)
    assert abs(passed - 30 / reduction) <= 5
