"""Glimpses between evaluations: early, spread, and without a trace in what a run comes to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packs import predictions_of, train
from sweep.core.recipe import Data, Recipe
from sweep.loop.trial import Evaluated, Event, Glimpsed
from sweep.train import glimpses
from sweep.train.glimpses import glimpse_steps, glimpsed_pairs


@pytest.mark.parametrize("steps", [48, 100, 200, 7300])
def test_first_glimpse_is_early_and_the_last_is_not_the_end(steps: int) -> None:
    found = sorted(glimpse_steps(steps))
    assert len(found) == 8
    assert found[0] <= steps / 12
    assert found[-1] < steps


@pytest.mark.parametrize("steps", [0, 6, 47])
def test_short_trainings_have_none(steps: int) -> None:
    assert not glimpse_steps(steps)


def test_glimpsed_pairs_have_labels_as_all_have() -> None:
    labels = np.random.default_rng(0).beta(0.6, 1.4, 500)
    places = glimpsed_pairs(labels)
    assert len(set(places)) == 32
    quarters = [0.1, 0.25, 0.5, 0.75, 0.9]
    assert np.quantile(labels[places], quarters) == pytest.approx(
        np.quantile(labels, quarters), abs=0.04
    )
    assert not glimpsed_pairs(labels[:200])


@pytest.mark.trains
def test_a_glimpse_changes_nothing(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same scores, predictions and number of evaluations as without."""
    data = Data(source="demo", max_train_rows=400, max_dev_rows=256, max_length=32)
    trainer = replace(recipe.trainer, max_steps=48, eval_steps=24)
    one = replace(recipe, data=data, trainer=trainer)
    events: list[Event] = []
    seen = train(one, tmp_path / "a", events)
    assert [g.step for g in seen.glimpses] == [3, 6, 12, 18, 30, 36, 42]
    assert [e.step for e in seen.evaluations] == [24, 48]
    kinds = [type(e) for e in events if isinstance(e, Glimpsed | Evaluated)]
    assert kinds.index(Glimpsed) < kinds.index(Evaluated)
    monkeypatch.setattr(glimpses, "_FEWEST_STEPS", 1000)
    unseen = train(one, tmp_path / "b")
    assert not unseen.glimpses
    assert unseen.evaluations == seen.evaluations
    both = [predictions_of(one, tmp_path / name) for name in ("a", "b")]
    assert np.array_equal(*both)
