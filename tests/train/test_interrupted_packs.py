"""Runs that are stopped, paused or interrupted, alone and in packs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from companions import companions
from packs import adapter_of, predictions_of, train, train_together
from sweep.core.recipe import Recipe
from sweep.loop.trial import (
    Evaluated,
    Event,
    Finished,
    Paused,
    Progress,
    Run,
    RunState,
)
from sweep.study.notes import ask_to_pause, ask_to_stop, forget_to_pause
from sweep.train.checkpoints import random_states, read_checkpoint, restore_random_states
from sweep.train.runs import train_pack

pytestmark = pytest.mark.trains


def test_run_that_is_stopped_leaves_its_pack_and_the_others_unchanged(
    recipe: Recipe, tmp_path: Path
) -> None:
    longer = replace(recipe, trainer=replace(recipe.trainer, max_steps=20, eval_steps=5))
    runs = tuple(Run(i, {}, one) for i, one in enumerate(companions(longer)[:3]))
    for run in runs:
        (tmp_path / "a" / run.id).mkdir(parents=True)
    events: list[Event] = []

    def handle(event: Event) -> None:
        events.append(event)
        if isinstance(event, Evaluated) and event.run_id == runs[1].id:
            ask_to_stop(tmp_path / "a" / event.run_id, "pruned at step 5")

    train_pack(runs, tmp_path / "a", handle)
    stopped = next(e.outcome for e in events if isinstance(e, Finished))
    assert stopped.state is RunState.PRUNED
    assert stopped.reason == "pruned at step 5"
    assert stopped.score is None
    assert [e.step for e in stopped.evaluations] == [5]
    assert stopped.steps == 5
    assert not (tmp_path / "a" / runs[1].id / "rung.pt").exists()
    train_together([runs[0].recipe, runs[2].recipe], tmp_path / "b")
    for run in (runs[0], runs[2]):
        found, expected = (predictions_of(run.recipe, tmp_path / name) for name in "ab")
        assert np.allclose(found, expected, atol=1e-5)


class Killed(BaseException):
    """As sudden as a signal: no code of ours may catch it."""


def killed_at(step: int, times: int = 1) -> Callable[[Event], None]:
    """A handler that ends the process, so to speak, once a run has gone beyond `step`."""
    left = [times]

    def handle(event: Event) -> None:
        if isinstance(event, Evaluated) and event.evaluation.step > step and left[0]:
            left[0] -= 1
            raise Killed

    return handle


@pytest.mark.parametrize("epochs", [False, True], ids=["steps", "epochs"])
def test_interrupted_pack_goes_on_from_its_rung_to_the_unbroken_result(
    epochs: bool, recipe: Recipe, tmp_path: Path
) -> None:
    # 6 steps an epoch; evaluations in the middle of epochs and at their ends.
    changes: dict[str, Any] = {"max_steps": 10, "eval_steps": 2}
    if epochs:
        changes = {"max_steps": -1, "num_train_epochs": 3, "eval_strategy": "epoch"}
    longer = replace(
        recipe,
        data=replace(recipe.data, max_train_rows=48),
        trainer=replace(recipe.trainer, **changes),
    )
    first, *others = companions(longer)[:3]
    # Its start is made of train rows, and not made again.
    first = replace(first, lora=replace(first.lora, init_lora_weights="eva"))
    pack = tuple(Run(i, {}, one) for i, one in enumerate([first, *others]))
    recipes = [run.recipe for run in pack]
    whole = train_together(recipes, tmp_path / "whole")
    for run in pack:
        (tmp_path / "broken" / run.id).mkdir(parents=True)
    for step in (2, 6):
        with pytest.raises(Killed):
            train_pack(pack, tmp_path / "broken", killed_at(step))
    events: list[Event] = []
    resumed = train_together(recipes, tmp_path / "broken", events)
    steps = [e.step for e in events if isinstance(e, Progress)]
    assert min(steps) > 2, "it started over"
    for one, expected, found in zip(recipes, whole, resumed, strict=True):
        assert [e.step for e in found.evaluations] == [e.step for e in expected.evaluations]
        assert found.score == pytest.approx(expected.score, abs=1e-6)
        assert found.steps == expected.steps
        assert found.best_step == expected.best_step
        for name, weights in adapter_of(one, tmp_path / "whole").items():
            assert torch.allclose(adapter_of(one, tmp_path / "broken")[name], weights, atol=1e-6)
        assert np.allclose(*(predictions_of(one, tmp_path / f) for f in ("whole", "broken")))
        reported = [e.evaluation for e in events if isinstance(e, Evaluated)]
        assert all(reported.count(evaluation) == 1 for evaluation in found.evaluations)
        assert not (tmp_path / "broken" / one.run_id / "rung.pt").exists()


def test_paused_runs_go_on_in_other_packs_to_the_unbroken_result(
    recipe: Recipe, tmp_path: Path
) -> None:
    longer = replace(recipe, trainer=replace(recipe.trainer, max_steps=20, eval_steps=4))
    pack = tuple(Run(i, {}, one) for i, one in enumerate(companions(longer)[:3]))
    recipes = [run.recipe for run in pack]
    whole = train_together(recipes, tmp_path / "whole")
    for run in pack:
        (tmp_path / "paused" / run.id).mkdir(parents=True)
    events: list[Event] = []

    def go_on(until: int | None, *places: int) -> None:
        runs = tuple(replace(pack[place], until=until) for place in places)
        train_pack(runs, tmp_path / "paused", events.append)

    go_on(1, 0, 1)
    go_on(1, 2)
    # Asked for again after an interruption, it waits where it is.
    go_on(1, 0)
    go_on(3, 2, 0)
    paused = [(e.run_id, e.outcome.steps) for e in events if isinstance(e, Paused)]
    assert paused == [
        *((pack[place].id, 4) for place in (0, 1, 2, 0)),
        *((pack[place].id, 12) for place in (2, 0)),
    ]
    assert all(e.outcome.score is None for e in events if isinstance(e, Paused))
    go_on(None, 0, 1, 2)
    outcomes = {e.run_id: e.outcome for e in events if isinstance(e, Finished)}
    for run, expected in zip(pack, whole, strict=True):
        found = outcomes[run.id]
        assert found.state is RunState.COMPLETE
        assert found.steps == expected.steps
        assert [e.step for e in found.evaluations] == [4, 8, 12, 16, 20]
        # Scored in another pack: predictions that hardly differ make rounding show in the score.
        assert found.score == pytest.approx(expected.score, abs=1e-5)
        for name, weights in adapter_of(run.recipe, tmp_path / "whole").items():
            assert torch.allclose(
                adapter_of(run.recipe, tmp_path / "paused")[name], weights, atol=1e-6
            )


@pytest.mark.parametrize("epochs", [False, True], ids=["steps", "epochs"])
def test_pack_that_is_saved_between_rungs_goes_on_to_the_unbroken_result(
    epochs: bool, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first rung, right before and after one, at the ends of epochs (every 12 steps)."""
    monkeypatch.setattr("sweep.train.members._PROGRESS_SECONDS", 0.0)
    changes: dict[str, Any] = {"max_steps": 30, "eval_steps": 10}
    if epochs:
        changes = {"max_steps": -1, "num_train_epochs": 3, "eval_strategy": "epoch"}
    longer = replace(recipe, trainer=replace(recipe.trainer, **changes))
    pack = tuple(Run(i, {}, one) for i, one in enumerate(companions(longer)[:2]))
    whole = train_together([run.recipe for run in pack], tmp_path / "whole")
    broken, left, moments = tmp_path / "broken", [], [3, 10, 11, 12, 19, 24, 25]
    for run in pack:
        (broken / run.id).mkdir(parents=True)

    def handle(event: Event) -> None:
        if isinstance(event, Progress) and event.step == moments[len(left) // 2]:
            ask_to_pause(broken, at_step=True)
        if isinstance(event, Paused):
            left.append(event.outcome.steps)

    for moment in moments:
        train_pack(pack, broken, handle)
        assert left[-2:] == [moment, moment]
        forget_to_pause(broken)
    resumed = train_together([run.recipe for run in pack], broken)
    for run, expected, found in zip(pack, whole, resumed, strict=True):
        pairs = zip(expected.evaluations, found.evaluations, strict=True)
        assert all((a.step, a.epoch) == (b.step, b.epoch) for a, b in pairs)
        assert found.score == pytest.approx(expected.score, abs=1e-6)
        for name, weights in adapter_of(run.recipe, tmp_path / "whole").items():
            assert torch.allclose(adapter_of(run.recipe, broken)[name], weights, atol=1e-6)


def test_rung_that_can_not_be_gone_on_from_starts_over(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(recipe, tmp_path / "whole").score
    run = Run(0, {}, recipe)
    rung = tmp_path / "runs" / run.id / "rung.pt"
    rung.parent.mkdir(parents=True)
    with pytest.raises(Killed):
        train_pack((run,), tmp_path / "runs", killed_at(3))
    whole = rung.read_bytes()
    for content in (b"", whole[: len(whole) // 2]):
        rung.write_bytes(content)
        assert train(recipe, tmp_path / "runs").score == pytest.approx(expected, abs=1e-9)
    rung.write_bytes(whole)
    monkeypatch.setattr("sweep.train.checkpoints.version", lambda name: "0.0")
    assert read_checkpoint(rung.parent) is None


@pytest.mark.parametrize("device", [torch.device("cpu"), torch.device("cuda")], ids=str)
def test_generators_of_the_device_draw_on_as_before(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_gpu = torch.Generator()
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: of_gpu.get_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, _: of_gpu.set_state(state))
    states = random_states(device)
    drawn = torch.rand(3), torch.rand(3, generator=of_gpu)
    restore_random_states(states, device)
    again = torch.rand(3), torch.rand(3, generator=of_gpu)
    assert torch.equal(drawn[0], again[0])
    assert torch.equal(drawn[1], again[1]) == (device.type == "cuda")
