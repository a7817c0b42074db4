"""What a plan says of a run is what the run does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.loop.trial import Event, Finished, Run
from sweep.train.pace import measure_pace, num_steps
from sweep.train.runs import train_pack

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
    pace = measure_pace(recipes)
    assert pace.tried == tuple(recipes)
    assert pace.step_seconds > 0
    assert pace.eval_seconds > 0
    longer = replace(recipe, trainer=replace(recipe.trainer, max_steps=600))
    times = [
        replace(pace, start_seconds=0.0, tried=(one,)).run_seconds(train_rows=96)
        for one in (recipe, longer)
    ]
    assert times[1] > 20 * times[0]
