"""Points that do not fit into memory: noted, not asked, asked again with more room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from optuna_studies import ask_all, search
from sweep.search import drawing
from sweep.study.notes import add_point


def excess_of(limit: int) -> Any:
    """MB beyond a limit, where a rank takes a MB."""
    return lambda params: int(params["lora.r"]) - limit


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'study.db'}").trials


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_many_queued_cells_that_no_longer_fit_do_not_end_a_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_MOST_DRAWS", 4)
    arguments: dict[str, Any] = {
        "space": {"lora.r": {"low": 1, "high": 12, "step": 1}},
        "cost": lambda p: float(p["lora.r"]),
    }
    search(tmp_path, **arguments)
    assert len(ask_all(search(tmp_path, excess=excess_of(2), **arguments))) == 2


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "gp", "nsga2"])
def test_draws_that_do_not_fit_cost_nothing_of_the_budget(tmp_path: Path, sampler: str) -> None:
    space = {"lora.r": {"low": 1, "high": 64}, "lora.lora_dropout": {"low": 0.0, "high": 0.5}}
    arguments: dict[str, Any] = {"sampler": sampler, "num_trials": 10, "excess": excess_of(16)}
    done = 0
    for _ in range(2):
        opened = search(tmp_path, space, **arguments)
        while done < 10 and (trial := opened.ask()) is not None:
            assert int(trial.params["lora.r"]) <= 16
            # More rank is better: what draws by scores is drawn to what does not fit.
            opened.tell(trial.number, int(trial.params["lora.r"]) / 64)
            done += 1
            if done == 5:
                break
    assert done == 10
    assert search(tmp_path, space, **arguments).ask() is None
    assert all(t.constraints for t in trials_of(tmp_path) if t.params["lora.r"] > 16)


@pytest.mark.long
def test_space_in_which_nothing_fits_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_MOST_DRAWS", 10)
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
