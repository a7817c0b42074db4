"""The study: what is asked, what a restart asks again, what never comes twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.loop.objectives import parse_objectives
from sweep.loop.trial import Trial
from sweep.search import OptunaSearch, optuna_search
from sweep.space.points import point_of
from sweep.space.space import parse_space
from sweep.study.notes import add_point

GRID = {"lora.r": [4, 8, 16], "lora.target_modules": ["qv", ["query", "key"]]}


def search(folder: Path, space: dict[str, Any] = GRID, **changes: Any) -> OptunaSearch:
    arguments: dict[str, Any] = {"name": "s", "sampler": "grid", "num_trials": 5, **changes}
    folder.mkdir(exist_ok=True)
    parsed = parse_space(space, valid_keys=SEARCHABLE_KEYS)
    return OptunaSearch(folder / "study.db", space=parsed, **arguments)


def ask_all(opened: OptunaSearch) -> list[Trial]:
    trials = []
    while (trial := opened.ask()) is not None:
        trials.append(trial)
    return trials


def points(trials: list[Trial]) -> list[str]:
    return [json.dumps(t.params, sort_keys=True) for t in trials]


def states(folder: Path) -> list[str]:
    storage = f"sqlite:///{folder / 'study.db'}"
    names = optuna.get_all_study_names(storage)
    newest = max(names, key=lambda n: int(n.partition("~")[2] or 1))
    return [t.state.name for t in optuna.load_study(study_name=newest, storage=storage).trials]


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


def test_failed_cell_is_tried_again_on_the_next_start_but_not_before(tmp_path: Path) -> None:
    opened = search(tmp_path)
    trials = ask_all(opened)
    for trial in trials:
        opened.tell(trial.number, None if trial.number == 3 else 0.5, "out of memory")
    assert opened.ask() is None
    again = ask_all(search(tmp_path))
    assert points(again) == points([trials[3]])
    assert again[0].number == 6


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


def test_dear_cells_of_a_grid_come_first(tmp_path: Path) -> None:
    space = parse_space({"lora.r": [4, 16, 8]}, valid_keys=SEARCHABLE_KEYS)
    search = OptunaSearch(
        tmp_path / "study.db",
        name="s",
        space=space,
        sampler="grid",
        num_trials=0,
        cost=lambda params: float(params["lora.r"]),
    )
    trials = [search.ask() for _ in range(3)]
    assert [trial.params["lora.r"] for trial in trials if trial] == ["16", "8", "4"]


@pytest.mark.parametrize("pruner", ["median", "percentile", "asha", "hyperband"])
def test_what_falls_behind_is_pruned_counts_as_tried_and_is_not_asked_again(
    pruner: Any, tmp_path: Path
) -> None:
    space = parse_space({"lora.r": {"low": 1, "high": 64}}, valid_keys=SEARCHABLE_KEYS)

    def opened() -> OptunaSearch:
        return OptunaSearch(
            tmp_path / "study.db",
            name="s",
            space=space,
            sampler="random",
            num_trials=16,
            pruner=pruner,
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
    folder: Path, steps: Sequence[int], *, restart_at: int | None = None, **arguments: Any
) -> list[int | None]:
    """Which evaluation, from 1, ends each of 30 trials with flat curves; None: it goes through.

    Args:
        restart_at: An evaluation after whose report the driver dies, of every fourth trial: it
            comes again, and its run reports again from its first evaluation on.
    """
    space = {"lora.lora_dropout": {"low": 0.0, "high": 0.5}}

    def opened() -> OptunaSearch:
        return search(folder, space, sampler="random", num_trials=30, **arguments)

    chooser, found = opened(), []
    for place, quality in enumerate(np.random.default_rng(0).random(30).tolist()):
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


@pytest.mark.parametrize("pruner", ["median", "percentile", "asha", "hyperband"])
def test_pruner_counts_in_evaluations_whatever_their_steps_and_over_restarts(
    tmp_path: Path, pruner: str
) -> None:
    one_by_one = ends(tmp_path / "ones", range(1, 9), pruner=pruner)
    assert ends(tmp_path / "many", range(125, 1001, 125), pruner=pruner) == one_by_one
    assert ends(tmp_path / "again", range(1, 9), pruner=pruner, restart_at=3) == one_by_one
    assert set(one_by_one) > {None}


@pytest.mark.parametrize("pruner", ["median", "percentile", "asha"])
@pytest.mark.parametrize("leader", [0.1, 0.5, 0.9])
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


@pytest.mark.parametrize(("grace", "reduction", "rungs"), [(1, 3, {1, 3}), (2, 2, {2, 4, 8})])
def test_asha_cuts_at_the_rungs_of_grace_and_reduction_alone(
    tmp_path: Path, grace: int, reduction: int, rungs: set[int]
) -> None:
    steps = range(125, 1001, 125)
    found = ends(tmp_path, steps, pruner="asha", grace=grace, reduction=reduction)
    assert {end for end in found if end is not None} == rungs
    # One rung is won at a time: about the best one in `reduction` passes the first.
    passed = sum(end != grace for end in found)
    assert abs(passed - 30 / reduction) <= 5


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
            tmp_path / "study.db", name="s", space=space, sampler=sampler, num_trials=12
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


def excess_of(limit: int) -> Any:
    """MB beyond a limit, where a rank takes a MB."""
    return lambda params: int(params["lora.r"]) - limit


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'study.db'}").trials


def test_cells_that_do_not_fit_are_noted_as_infeasible_and_not_asked(tmp_path: Path) -> None:
    for _ in range(2):
        opened = search(tmp_path, excess=excess_of(8))
        assert {p["lora.r"] for p, _ in opened.infeasible} == {"16"}
        for trial in ask_all(opened):
            assert trial.params["lora.r"] != "16"
            opened.tell(trial.number, 0.5)
    noted = [t for t in trials_of(tmp_path) if t.constraints]
    assert [(t.state.name, t.constraints) for t in noted] == [
        ("PRUNED", {"excess_memory_mb": 8.0})
    ] * 2
    assert all("too large by 8 MB" in t.user_attrs["reason"] for t in noted)
    assert len(trials_of(tmp_path)) == 6
    # With more room they are trained after all.
    grown = search(tmp_path, excess=excess_of(16))
    assert [t.params["lora.r"] for t in ask_all(grown)] == ["16", "16"]


@pytest.mark.parametrize("num_done", range(5))
@pytest.mark.parametrize("limit", [0, 4, 10, 16])
def test_grid_with_less_memory_asks_whatever_fits_and_is_not_done(
    tmp_path: Path, limit: int, num_done: int
) -> None:
    ranks = [4, 8, 16, 32]
    arguments: dict[str, Any] = {"space": {"lora.r": ranks}, "cost": lambda p: float(p["lora.r"])}
    first = search(tmp_path, **arguments)
    done = []
    for place in range(num_done):
        trial = first.ask()
        assert trial is not None
        done.append(int(trial.params["lora.r"]))
        first.tell(trial.number, None if place == 1 else 0.5, pruned=place == 1)
    again = search(tmp_path, excess=excess_of(limit), **arguments)
    new = [r for r in ranks if r not in done]
    assert {int(p["lora.r"]) for p, _ in again.infeasible} == {r for r in new if r > limit}
    assert again.num_trials == len(done) + sum(r <= limit for r in new)
    asked = ask_all(again)
    assert sorted(int(t.params["lora.r"]) for t in asked) == [r for r in new if r <= limit]
    for trial in asked:
        again.tell(trial.number, 0.5)
    assert ask_all(search(tmp_path, excess=excess_of(limit), **arguments)) == []
    # With the old limit again, the rest.
    rest = ask_all(search(tmp_path, **arguments))
    assert sorted(int(t.params["lora.r"]) for t in rest) == [r for r in new if r > limit]


def test_many_queued_cells_that_no_longer_fit_do_not_end_a_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna_search, "_MOST_DRAWS", 4)
    arguments: dict[str, Any] = {
        "space": {"lora.r": {"low": 1, "high": 12, "step": 1}},
        "cost": lambda p: float(p["lora.r"]),
    }
    search(tmp_path, **arguments)
    assert len(ask_all(search(tmp_path, excess=excess_of(2), **arguments))) == 2


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


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "gp", "nsga2"])
def test_draws_that_do_not_fit_cost_nothing_of_the_budget(tmp_path: Path, sampler: str) -> None:
    space = {"lora.r": {"low": 1, "high": 64}, "lora.lora_dropout": {"low": 0.0, "high": 0.5}}
    arguments: dict[str, Any] = {"sampler": sampler, "num_trials": 14, "excess": excess_of(16)}
    done = 0
    for _ in range(2):
        opened = search(tmp_path, space, **arguments)
        while done < 14 and (trial := opened.ask()) is not None:
            assert int(trial.params["lora.r"]) <= 16
            # More rank is better: what draws by scores is drawn to what does not fit.
            opened.tell(trial.number, int(trial.params["lora.r"]) / 64)
            done += 1
            if done == 7:
                break
    assert done == 14
    assert search(tmp_path, space, **arguments).ask() is None
    assert all(t.constraints for t in trials_of(tmp_path) if t.params["lora.r"] > 16)


def test_space_in_which_nothing_fits_ends_the_search(tmp_path: Path) -> None:
    space = {"lora.r": {"low": 1, "high": 64}, "lora.lora_dropout": {"low": 0.0, "high": 0.5}}
    opened = search(tmp_path, space, sampler="tpe", num_trials=5, excess=lambda params: 1.0)
    assert opened.ask() is None
    asked = len(opened.infeasible)
    assert opened.ask() is None
    assert len(opened.infeasible) == asked


def test_config_added_by_hand_that_does_not_fit_takes_no_other_along(tmp_path: Path) -> None:
    space = {"lora.r": [4, 8, 16, 32]}
    arguments: dict[str, Any] = {"sampler": "random", "num_trials": 1, "excess": excess_of(16)}
    opened = search(tmp_path, space, first=[{"lora.r": "4"}], **arguments)
    add_point(tmp_path, {"lora.r": "32"})
    assert [t.params["lora.r"] for t in ask_all(opened)] == ["4"]
    assert [p for p, _ in opened.infeasible] == [{"lora.r": "32"}]


def test_finished_grid_is_not_called_used_up(tmp_path: Path) -> None:
    opened = search(tmp_path)
    ask_all(opened)
    assert not opened.is_used_up


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
