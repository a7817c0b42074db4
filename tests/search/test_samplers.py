"""Samplers: points to start with, conditions, steps, used-up spaces, two objectives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from optuna_studies import GRID, ask_all, points, search
from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.loop.objectives import parse_objectives
from sweep.search import OptunaSearch, SearchTask
from sweep.space.points import point_of
from sweep.space.space import parse_space
from sweep.study.notes import add_point


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "gp", "cmaes", "nsga2"])
def test_sampler_goes_on_after_a_restart_without_repeating_itself(
    sampler: Any, tmp_path: Path
) -> None:
    rate = {"low": 1e-5, "high": 1e-2, "log": True}
    space = parse_space(
        {"trainer.learning_rate": rate, "trainer.weight_decay": {"low": 0.0, "high": 0.1}},
        valid_keys=SEARCHABLE_KEYS,
    )
    drawn = []
    for _ in range(3):
        search = OptunaSearch(
            tmp_path / "study.db", SearchTask(name="s", space=space, sampler=sampler, num_trials=12)
        )
        for _ in range(4):
            trial = search.ask()
            assert trial is not None
            drawn.append(tuple(trial.params.values()))
            search.tell(trial.number, float(len(drawn)))
    # A model of the scores may ask for an end of the range again; parents may live on in a child.
    assert len(set(drawn)) >= (8 if sampler in ("gp", "nsga2") else 12)
    assert search.ask() is None


def test_added_config_is_next_on_top_of_the_budget_also_after_a_restart(tmp_path: Path) -> None:
    space = {"lora.r": {"low": 1, "high": 64}}
    drawn: dict[str, Any] = {"space": space, "sampler": "random", "num_trials": 2}
    opened = search(tmp_path, **drawn)
    first = opened.ask()
    assert first is not None
    add_point(tmp_path, {"lora.r": 33})
    second = opened.ask()
    assert second is not None
    assert second.params == {"lora.r": 33}
    assert opened.num_trials == 3
    # Killed before anything was told, and another one added while nobody is there.
    add_point(tmp_path, {"lora.r": 34})
    add_point(tmp_path, {"lora.r": 33})
    again = search(tmp_path, **drawn)
    assert again.num_trials == 4
    trials = ask_all(again)
    assert len(trials) == 4
    assert {t.params["lora.r"] for t in trials} >= {first.params["lora.r"], 33, 34}
    for trial in trials:
        again.tell(trial.number, None if trial.params["lora.r"] == 34 else 0.5)
    # One that failed is tried again, still beside the budget.
    (retried,) = ask_all(search(tmp_path, **drawn))
    assert retried.params == {"lora.r": 34}
    assert list((tmp_path / "added").iterdir()) == []


FIRST = [
    {"lora.r": "16", "lora.target_modules": "qv"},
    {"lora.r": "8", "lora.target_modules": "qv"},
]


@pytest.mark.parametrize("sampler", ["grid", "random", "qmc", "tpe", "gp"])
def test_points_to_start_with_come_first_once_over_all_starts(tmp_path: Path, sampler: str) -> None:
    opened = search(tmp_path, sampler=sampler, first=[*FIRST, FIRST[0]])
    asked = [opened.ask() for _ in range(3)]
    assert [t.params for t in asked[:2] if t] == FIRST
    assert asked[2] is not None
    assert asked[2].params not in FIRST or sampler != "grid"
    for trial in asked:
        assert trial is not None
        opened.tell(trial.number, 0.5)
    again = ask_all(search(tmp_path, sampler=sampler, first=FIRST))
    assert len(again) == (3 if sampler == "grid" else 2)


CONDITIONAL = {
    "lora.target_modules": ["qv", "all-linear"],
    "trainer.learning_rate": {
        "low": 1e-4,
        "high": 1e-2,
        "log": True,
        "when": {"lora.target_modules": ["all-linear"]},
    },
    "lora.lora_dropout": {"low": 0.0, "high": 0.5},
}


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "gp"])
def test_conditional_dimension_is_drawn_only_where_it_counts_over_restarts(
    tmp_path: Path, sampler: str
) -> None:
    space = parse_space(CONDITIONAL, valid_keys=SEARCHABLE_KEYS)
    trials = []
    for start in range(2):
        opened = search(tmp_path, CONDITIONAL, sampler=sampler, num_trials=12)
        for _ in range(6):
            trial = opened.ask()
            assert trial is not None
            assert space.holds(trial.params)
            trials.append(trial)
            opened.tell(trial.number, float(trial.params["lora.lora_dropout"]) + start)
    assert opened.ask() is None
    assert len(set(points(trials))) >= (10 if sampler == "gp" else 12)
    assert {len(trial.params) for trial in trials} == {2, 3}


def test_open_and_failed_trials_of_a_conditional_space_come_again(tmp_path: Path) -> None:
    first = search(tmp_path, CONDITIONAL, sampler="random", num_trials=6)
    trials = ask_all(first)
    for trial in trials[:4]:
        first.tell(trial.number, None if trial.number == 1 else 0.5)
    again = ask_all(search(tmp_path, CONDITIONAL, sampler="random", num_trials=6))
    assert again[:2] == trials[4:]
    assert points(again[2:]) == points([trials[1]])


def test_trials_move_into_a_space_with_another_condition_where_they_are_points_of_it(
    tmp_path: Path,
) -> None:
    free = {"lora.target_modules": ["qv", "all-linear"], "lora.r": [4, 8]}
    bound = {**free, "lora.r": {"values": [4, 8], "when": {"lora.target_modules": ["qv"]}}}
    opened = search(tmp_path, free)
    for trial in ask_all(opened):
        opened.tell(trial.number, 0.5)
    assert [t.params for t in ask_all(search(tmp_path, bound))] == [
        {"lora.target_modules": "all-linear"}
    ]


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "nsga2"])
def test_space_that_is_used_up_ends_the_search_over_restarts(tmp_path: Path, sampler: str) -> None:
    space = {"lora.r": [4, 8], "lora.bias": {"values": ["all", "none"], "when": {"lora.r": 8}}}
    opened = search(tmp_path, space, sampler=sampler, num_trials=60)
    first = opened.ask()
    assert first is not None
    opened.tell(first.number, 0.1)
    assert not opened.is_used_up
    again = search(tmp_path, space, sampler=sampler, num_trials=60)
    assert again.num_trials == 3
    seen = {json.dumps(first.params)}
    while (trial := again.ask()) is not None:
        seen.add(json.dumps(trial.params))
        again.tell(trial.number, 0.2)
    assert len(seen) == 3
    assert again.is_used_up
    assert search(tmp_path, space, sampler=sampler, num_trials=60).ask() is None


#: Ranges whose numbers binary floats do not have.
STEPPED = [(0.0, 0.4, 0.1), (0.1, 0.35, 0.05), (-0.3, 0.3, 0.1), (0.05, 0.5, 0.15)]


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe"])
@pytest.mark.parametrize(("low", "high", "step"), STEPPED)
def test_numbers_in_steps_are_those_of_the_grid_drawn_queued_and_read(
    tmp_path: Path, sampler: str, low: float, high: float, step: float
) -> None:
    space = {"trainer.weight_decay": {"low": low, "high": high, "step": step}}
    parsed = parse_space(space, valid_keys=SEARCHABLE_KEYS)
    grid = [cell["trainer.weight_decay"] for cell in parsed.grid()]
    written = point_of(parsed, Recipe().value_of, {"trainer.weight_decay": grid[0] + 3 * step})
    drawn: dict[str, Any] = {"space": space, "sampler": sampler, "num_trials": 60}
    opened = search(tmp_path, **drawn, first=[written])
    asked = []
    for place in range(60):
        if place == 3:
            opened = search(tmp_path, **drawn)
        if (trial := opened.ask()) is None:
            break
        asked.append(trial.params["trainer.weight_decay"])
        assert parsed.values(trial.params) == {"trainer.weight_decay": asked[-1]}
        opened.tell(trial.number, 0.5)
    assert asked[0] == grid[3]
    assert sorted(set(asked)) == grid
    assert opened.is_used_up
    # Read from the study, they are the same again: nothing of it is left to try.
    assert ask_all(search(tmp_path, space)) == []


def test_failed_point_of_a_used_up_space_is_tried_again_on_the_next_start(tmp_path: Path) -> None:
    space = {"lora.r": [4, 8]}
    opened = search(tmp_path, space, sampler="random", num_trials=40)
    trials = ask_all(opened)
    for trial in trials:
        opened.tell(trial.number, None if trial.params["lora.r"] == "4" else 0.5)
    assert opened.is_used_up
    again = search(tmp_path, space, sampler="random", num_trials=40)
    assert [t.params for t in ask_all(again)] == [{"lora.r": "4"}]
    assert again.is_used_up


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["grid", "random", "tpe", "nsga2", "gp"])
def test_two_objectives_are_told_and_survive_restart_and_growth(
    tmp_path: Path, sampler: str
) -> None:
    objectives = parse_objectives(["pearson:max", "lora_params:min"])
    arguments: dict[str, Any] = {"sampler": sampler, "num_trials": 6, "objectives": objectives}
    opened = search(tmp_path, **arguments)
    for place in range(3):
        trial = opened.ask()
        assert trial is not None
        assert not opened.report(trial.number, 1, -1.0)
        opened.tell(trial.number, (0.5 + place / 10, 100.0 + place))
    again = search(tmp_path, **arguments)
    for trial in ask_all(again):
        again.tell(trial.number, (0.1, 500.0))
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.load_study(study_name="s", storage=storage)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert {t.number for t in study.best_trials} == {0, 1, 2}
    grown = search(tmp_path, {**GRID, "lora.r": [4, 8, 16, 32]}, **arguments | {"num_trials": 7})
    assert len(ask_all(grown)) == (2 if sampler == "grid" else 1)
