"""The staged design: everything evenly mixed, then rates around the best of each rank."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.loop.objectives import parse_objectives
from sweep.loop.trial import Trial
from sweep.search import OptunaSearch, SearchTask
from sweep.space.space import Params, parse_space

RATE = "trainer.learning_rate"
SPACE = parse_space(
    {
        "adapter": {f"r{r}": {"lora.r": r, "lora.lora_alpha": 2 * r} for r in (2, 8, 32)},
        "lora.target_modules": ["qv", "all-linear"],
        RATE: {"low": 1e-4, "high": 1e-2, "log": True},
    },
    valid_keys=SEARCHABLE_KEYS,
)
BEST = {2: 4e-3, 8: 2e-3, 32: 1e-3}


def recipe(params: Params) -> Recipe:
    return Recipe().with_values(SPACE.values(params))


def opened(folder: Path, **more: object) -> OptunaSearch:
    task = {"name": "s", "space": SPACE, "sampler": "staged", "num_trials": 64, "recipe": recipe}
    return OptunaSearch(folder / "study.db", SearchTask(**(task | more)))  # type: ignore[arg-type]


def told(search: OptunaSearch, count: int) -> list[Trial]:
    trials = []
    for _ in range(count):
        trial = search.ask()
        assert trial is not None
        tried = recipe(trial.params)
        away = math.log(tried.trainer.learning_rate / BEST[tried.lora.r])
        search.tell(trial.number, 0.8 * math.exp(-(away**2) / 2))
        trials.append(trial)
    return trials


@pytest.mark.long
def test_first_half_is_evenly_mixed_and_the_second_lies_around_the_best(tmp_path: Path) -> None:
    trials = told(opened(tmp_path), 64)
    first, second = trials[:32], trials[32:]
    labels = Counter((t.params["adapter"], t.params["lora.target_modules"]) for t in first)
    assert len(labels) == 6
    assert max(labels.values()) - min(labels.values()) <= 3
    rates: dict[object, list[float]] = defaultdict(list)
    for trial in first:
        rates[trial.params["adapter"]].append(float(trial.params[RATE]))
    for own in rates.values():
        assert min(own) < 3e-4
        assert max(own) > 3e-3
    for trial in second:
        tried = recipe(trial.params)
        ratio = tried.trainer.learning_rate / BEST[tried.lora.r]
        assert 1 / 4.5 < ratio < 4.5
    assert Counter(t.params["adapter"] for t in second).most_common()[-1][1] >= 8
    assert opened(tmp_path).ask() is None


@pytest.mark.long
def test_design_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = told(opened(whole), 45)
    found = [trial for _ in range(3) for trial in told(opened(parts), 15)]
    assert [t.params for t in found] == [t.params for t in expected]


@pytest.mark.long
def test_without_scores_or_another_objective_first_it_stays_evenly_mixed(tmp_path: Path) -> None:
    search = opened(
        tmp_path, num_trials=24, objectives=parse_objectives(["lora_params:min", "pearson:max"])
    )
    rates = []
    for _ in range(24):
        trial = search.ask()
        assert trial is not None
        rates.append(float(trial.params[RATE]))
        search.tell(trial.number, (1.0, 0.5))
    assert min(rates[12:]) < 3e-4
    assert max(rates[12:]) > 3e-3
