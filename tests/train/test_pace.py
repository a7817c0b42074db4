"""What a plan says of a run is what the run does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.loop.trial import Event, Finished, Run
from sweep.train import pace
from sweep.train.pace import measure_pace, num_steps
from sweep.train.runs import train_pack
from sweep.train.trainer import PackTrainer

pytestmark = pytest.mark.trains


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_steps": 7},
        {"max_steps": 8, "eval_steps": 0.25},
        {"max_steps": -1, "num_train_epochs": 1.5},
        {"max_steps": -1, "num_train_epochs": 2, "eval_strategy": "epoch", "eval_steps": None},
        {"max_steps": -1, "num_train_epochs": 1, "gradient_accumulation_steps": 5},
        {"max_steps": 30, "eval_strategy": "epoch", "eval_steps": None},
    ],
)
def test_steps_and_evaluations_are_those_of_the_run(
    changes: dict[str, Any], recipe: Recipe, tmp_path: Path
) -> None:
    one = replace(recipe, trainer=replace(recipe.trainer, **changes))
    run = Run(0, {}, one)
    (tmp_path / run.id).mkdir()
    events: list[Event] = []
    train_pack((run,), tmp_path, events.append)
    outcome = next(e.outcome for e in events if isinstance(e, Finished))
    rows = len(load_split(one.data, "train"))
    assert num_steps(one, train_rows=rows) == (outcome.steps, len(outcome.evaluations))


@pytest.mark.parametrize("ranks", [[4], [2, 4, 8]])
def test_pace_is_measured_without_leaving_anything(recipe: Recipe, ranks: list[int]) -> None:
    recipes = [replace(recipe, lora=replace(recipe.lora, r=r)) for r in ranks]
    found = measure_pace(recipes)
    assert found.tried == tuple(recipes)
    assert found.step_seconds > 0
    assert found.eval_seconds > 0
    longer = replace(recipe, trainer=replace(recipe.trainer, max_steps=600))
    times = [
        replace(found, start_seconds=0.0, tried=(one,)).run_seconds(train_rows=96)
        for one in (recipe, longer)
    ]
    assert times[1] > 20 * times[0]


def test_pace_of_a_slow_model_is_that_of_two_steps_and_a_part_of_dev(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_ENOUGH_SECONDS", 0.0)
    evaluated: list[int] = []
    monkeypatch.setattr(PackTrainer, "evaluate", lambda *_, **__: evaluated.append(1))
    found = measure_pace([recipe])
    assert not evaluated
    assert found.step_seconds > 0
    assert found.eval_seconds > 0
    assert found.peak_memory_mb is None or found.peak_memory_mb > 0
