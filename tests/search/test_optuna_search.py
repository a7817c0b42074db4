"""The study: what is asked, what a restart asks again, what never comes twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
import pytest

from optuna_studies import GRID, ask_all, points, search, states
from sweep.core.recipe import SEARCHABLE_KEYS, Model, Recipe
from sweep.search import OptunaSearch, SearchTask
from sweep.space.space import Params, parse_space
from sweep.study.notes import add_point


@pytest.mark.long
def test_grid_asks_every_cell_once_in_order_and_then_nothing(tmp_path: Path) -> None:
    opened = search(tmp_path)
    trials = ask_all(opened)
    assert [t.number for t in trials] == list(range(6))
    assert [t.params["lora.r"] for t in trials] == ["4", "4", "8", "8", "16", "16"]
    assert len(set(points(trials))) == 6
    assert opened.ask() is None


def test_commits_do_not_wait_for_the_disk_from_the_first_connection_on(tmp_path: Path) -> None:
    opened = search(tmp_path)
    trial = opened.ask()
    assert trial is not None
    with sqlite3.connect(tmp_path / "study.db") as reader:
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    # Readers of other programs (optuna-dashboard) see what is told at once.
    opened.tell(trial.number, 0.5)
    assert states(tmp_path)[trial.number] == "COMPLETE"


def test_finished_grid_asks_nothing_on_the_next_start(tmp_path: Path) -> None:
    opened = search(tmp_path)
    for trial in ask_all(opened):
        opened.tell(trial.number, 0.5)
    assert ask_all(search(tmp_path)) == []


@pytest.mark.long
def test_trials_that_a_killed_driver_left_open_come_again_under_their_number(
    tmp_path: Path,
) -> None:
    killed = search(tmp_path)
    first, second = killed.ask(), killed.ask()
    assert first is not None
    assert second is not None
    killed.tell(first.number, 0.5)
    again = search(tmp_path)
    trials = ask_all(again)
    assert trials[0] == second
    assert first.number not in [t.number for t in trials]
    assert len(trials) == 5
    for trial in trials:
        again.tell(trial.number, 0.4)
    assert states(tmp_path) == ["COMPLETE"] * 6


@pytest.mark.long
def test_failed_cell_is_tried_again_on_the_next_start_but_not_before(tmp_path: Path) -> None:
    opened = search(tmp_path)
    trials = ask_all(opened)
    for trial in trials:
        opened.tell(trial.number, None if trial.number == 3 else 0.5, "out of memory")
    assert opened.ask() is None
    again = ask_all(search(tmp_path))
    assert points(again) == points([trials[3]])
    assert again[0].number == 6


@pytest.mark.long
@pytest.mark.parametrize("num_set", [0, 1])
def test_trial_killed_in_the_middle_of_an_ask_keeps_its_number_and_point(
    tmp_path: Path, num_set: int
) -> None:
    whole = ask_all(search(tmp_path / "unbroken"))
    search(tmp_path / "killed")
    storage = f"sqlite:///{tmp_path / 'killed' / 'study.db'}"
    trial = optuna.load_study(study_name="s", storage=storage).ask()
    for name in ["lora.r"][:num_set]:
        trial.suggest_categorical(name, ("4", "8", "16"))
    again = search(tmp_path / "killed")
    trials = ask_all(again)
    assert trials == whole
    for one in trials:
        again.tell(one.number, 0.5)
    assert states(tmp_path / "killed") == ["COMPLETE"] * 6


def test_interrupted_ask_of_a_sampler_is_completed(tmp_path: Path) -> None:
    space = {
        "trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "lora.r": {"low": 4, "high": 16, "step": 4},
    }
    search(tmp_path, space, sampler="tpe", num_trials=3)
    optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}").ask()
    trials = ask_all(search(tmp_path, space, sampler="tpe", num_trials=3))
    assert [t.number for t in trials] == [0, 1, 2]
    assert all(set(t.params) == set(space) for t in trials)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_restarted_sampler_goes_on_up_to_its_total_without_replaying(
    tmp_path: Path, sampler: str
) -> None:
    space = {"trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    first = search(tmp_path, space, sampler=sampler, num_trials=4)
    before = ask_all(first)
    for trial in before:
        first.tell(trial.number, 0.1)
    after = ask_all(search(tmp_path, space, sampler=sampler, num_trials=7))
    assert len(before) == 4
    assert len(after) == 3
    assert len(set(points(before + after))) == 7


def test_failed_point_of_a_sampler_is_tried_again_first(tmp_path: Path) -> None:
    space = {"trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    first = search(tmp_path, space, sampler="random", num_trials=3)
    trials = ask_all(first)
    for trial in trials:
        first.tell(trial.number, None if trial.number == 1 else 0.2)
    again = ask_all(search(tmp_path, space, sampler="random", num_trials=3))
    assert points(again) == points([trials[1]])


@pytest.mark.long
def test_grown_space_asks_only_the_new_cells_and_keeps_numbers(tmp_path: Path) -> None:
    opened = search(tmp_path)
    for trial in ask_all(opened):
        opened.tell(trial.number, 0.5)
    grown = search(tmp_path, {**GRID, "lora.r": [4, 8, 16, 32]})
    new = ask_all(grown)
    assert [t.params["lora.r"] for t in new] == ["32", "32"]
    assert [t.number for t in new] == [6, 7]
    for trial in new:
        grown.tell(trial.number, 0.6)
    assert states(tmp_path) == ["COMPLETE"] * 8
    assert ask_all(search(tmp_path, {**GRID, "lora.r": [4, 8, 16, 32]})) == []


@pytest.mark.long
@pytest.mark.parametrize("name", ["s", "mine~b", "a~2", "a~", "~", "a~2~x"])
def test_study_of_any_name_goes_on_and_grows_twice(tmp_path: Path, name: str) -> None:
    for generation, ranks in enumerate(([4], [4, 8], [4, 8, 16]), 1):
        opened = search(tmp_path, {"lora.r": ranks}, name=name)
        (trial,) = ask_all(opened)
        assert trial.params == {"lora.r": str(ranks[-1])}
        opened.tell(trial.number, 0.5)
        assert ask_all(search(tmp_path, {"lora.r": ranks}, name=name)) == []
        names = optuna.get_all_study_names(f"sqlite:///{tmp_path / 'study.db'}")
        assert names == [name, f"{name}~2", f"{name}~3"][:generation]


@pytest.mark.long
def test_more_seeds_ask_every_cell_again(tmp_path: Path) -> None:
    opened = search(tmp_path)
    for trial in ask_all(opened):
        opened.tell(trial.number, 0.5)
    assert len(ask_all(search(tmp_path, seeds=(0, 1)))) == 6


def test_reason_of_a_failure_is_kept_in_the_study(tmp_path: Path) -> None:
    opened = search(tmp_path)
    trial = opened.ask()
    assert trial is not None
    opened.tell(trial.number, None, "diverged: the training loss is nan at step 10")
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    kept = optuna.load_study(study_name="s", storage=storage).trials[0]
    assert kept.user_attrs["reason"].startswith("diverged")


@pytest.mark.long
def test_trial_has_the_names_that_people_know_it_by(tmp_path: Path) -> None:
    base = Recipe(model=Model(path="m"))
    space = parse_space(GRID, valid_keys=SEARCHABLE_KEYS)

    def recipe(point: Params) -> Recipe:
        return base.with_values(space.values(point))

    opened = search(tmp_path, recipe=recipe)
    for trial in ask_all(opened):
        opened.tell(trial.number, 0.5)
    kept = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}").trials
    assert {trial.user_attrs["targets"] for trial in kept} == {"qv", "query+key"}
    assert len({trial.user_attrs["config_id"] for trial in kept}) == len(kept) == 6


def test_dear_cells_of_a_grid_come_first(tmp_path: Path) -> None:
    space = parse_space({"lora.r": [4, 16, 8]}, valid_keys=SEARCHABLE_KEYS)
    search = OptunaSearch(
        tmp_path / "study.db",
        SearchTask(
            name="s",
            space=space,
            sampler="grid",
            num_trials=0,
            cost=lambda params: float(params["lora.r"]),
        ),
    )
    trials = [search.ask() for _ in range(3)]
    assert [trial.params["lora.r"] for trial in trials if trial] == ["16", "8", "4"]


def test_failed_cell_that_was_added_again_by_hand_is_no_cell_more(tmp_path: Path) -> None:
    opened = search(tmp_path)
    first = opened.ask()
    assert first is not None
    opened.tell(first.number, None)
    add_point(tmp_path, first.params)
    trials = ask_all(opened)
    assert len(trials) == 6
    for trial in trials:
        opened.tell(trial.number, 0.5)
    again = search(tmp_path)
    assert ask_all(again) == []
    assert not again.is_used_up


@pytest.mark.long
def test_finished_grid_is_not_called_used_up(tmp_path: Path) -> None:
    opened = search(tmp_path)
    ask_all(opened)
    assert not opened.is_used_up
