"""What runs are expected to take, and what is too large for a worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from sweep.budget import estimate
from sweep.budget.estimate import Estimates, MemoryLimit
from sweep.budget.packs import expected_packs
from sweep.budget.workers import Workers
from sweep.budget.workload import Workload
from sweep.commands.build import workers_of
from sweep.commands.cli import run_command
from sweep.config.compose import load_settings
from sweep.core.recipe import Recipe
from sweep.train.memory import memory_for_workers
from sweep.train.pace import Pace


def with_lora(recipe: Recipe, r: int, targets: str) -> Recipe:
    return replace(recipe, lora=replace(recipe.lora, r=r, target_modules=targets))


def test_estimates_lie_between_what_was_tried(recipe: Recipe) -> None:
    small, large = with_lora(recipe, 2, "qv"), with_lora(recipe, 4, "all-linear")
    middle = with_lora(recipe, 4, "qv")
    cheap, dear = Pace((small,), 1.0, 0.1, 1.0, 500.0), Pace((large,), 1.0, 0.2, 1.5, 800.0)
    estimates = Estimates((cheap, dear), 40)
    seconds = [estimates.seconds(recipe) for recipe in (small, middle, large)]
    memory = [estimates.peak_memory_mb(recipe) for recipe in (small, middle, large)]
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[1] < seconds[2]
    assert seconds[0] == pytest.approx(cheap.run_seconds(train_rows=40))
    assert seconds[2] == pytest.approx(dear.run_seconds(train_rows=40))
    assert memory[0] == 500
    assert memory[1] is not None
    assert 500 < memory[1] < 800
    assert memory[2] == 800


def test_runs_of_a_pack_share_its_time_by_their_cost(recipe: Recipe) -> None:
    small, large = with_lora(recipe, 2, "qv"), with_lora(recipe, 8, "all-linear")
    pace = Pace((small, large), 2.0, 0.1, 1.0, 700.0)
    estimates = Estimates((pace,), 40)
    shares = [estimates.seconds(small), estimates.seconds(large)]
    assert sum(shares) == pytest.approx(2 * pace.run_seconds(train_rows=40))
    assert shares[0] < shares[1]
    assert estimates.peak_memory_mb(small) == estimates.peak_memory_mb(large) == 700


def test_memory_that_can_t_be_measured_is_not_known(recipe: Recipe) -> None:
    estimates = Estimates((Pace((recipe,), 0.0, 0.1, 1.0, None),), 40)
    assert estimates.peak_memory_mb(recipe) is None
    assert MemoryLimit(100.0, estimates).excess_mb(recipe) < 0


def test_workers_share_what_is_allowed() -> None:
    everything = memory_for_workers(1, on_gpu=False)
    assert everything is not None
    assert memory_for_workers(2, on_gpu=False) == everything / 2
    assert memory_for_workers(2, on_gpu=False, most_gb=1.0) == 500
    assert memory_for_workers(1, on_gpu=False, most_gb=1e9) == everything


@pytest.mark.long
def test_packs_of_a_plan_are_those_that_a_grid_deals(arguments: list[str]) -> None:
    """Two workers get one each at once, of unlike runs; the rest follows in the order of cost."""
    arguments = [a for a in arguments if a != "executor=in_process" and "space" not in a]
    space = "search.space={lora.r:[2,4,8],lora.target_modules:[qv,all-linear]}"
    settings, _ = load_settings([*arguments, space, "executor.workers=2", "executor.pack_size=2"])
    packs = expected_packs(Workload.of(settings), workers_of(settings))
    assert [len(pack) for pack in packs] == [2, 2, 2]
    assert {r.config_id for p in packs for r in p} == {r.config_id for _, r in settings.configs()}
    costs = [[estimate.relative_cost(recipe) for recipe in pack] for pack in packs]
    in_order = sorted((cost for pack in costs for cost in pack), reverse=True)
    assert costs == [in_order[0:4:2], in_order[1:4:2], in_order[4:]]


def test_packs_of_a_plan_are_full_where_a_sampler_draws_more_than_corners(
    arguments: list[str],
) -> None:
    arguments = [a for a in arguments if a != "executor=in_process" and "space" not in a]
    space = "search.space={lora.r:{low:2,high:8}}"
    settings, _ = load_settings(
        [*arguments, space, "search=random", "search.n_trials=20", "executor.workers=2"]
    )
    packs = expected_packs(Workload.of(settings), workers_of(settings))
    assert [len(pack) for pack in packs] == [4, 4]
    assert len({recipe.run_id for pack in packs for recipe in pack}) == 8


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A MB for each number in LoRA: a tiny model's own differences drown in the process."""

    def of(load: Workload, workers: Workers) -> Estimates:
        recipes = sorted(load.recipes, key=estimate.relative_memory)
        small, large = recipes[0], recipes[-1]
        ends = Pace((small,), 0.0, 0.1, 0.1, 1000.0), Pace((large,), 0.0, 0.1, 0.1, 2000.0)
        return Estimates(ends, 40)

    monkeypatch.setattr(estimate, "estimates_of_extremes", of)


@pytest.mark.trains
@pytest.mark.long
@pytest.mark.usefixtures("measured")
def test_sweep_leaves_out_what_does_not_fit_and_says_so(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*arguments, "executor.max_memory_gb=1.9"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    words = " ".join(out.split())
    assert "1,900 MB a worker; a config is expected to take 1,000 to 2,000 MB" in words
    assert "too large: 2 configs left out, for taking more than executor.max_memory_gb=1.9" in words
    assert "2/2" in words
    study = home / "results" / "작은_실험"
    table = pd.read_csv(study / "table.csv")
    assert table["lora.target_modules"].tolist() == ["qv", "qv"]
    # More room is no other study: the cells that are missing are trained.
    assert run_command([*arguments, "executor.max_memory_gb=2.1"]) == 0
    assert "too large" not in capfd.readouterr().out
    assert pd.read_csv(study / "table.csv")["state"].tolist() == ["complete"] * 4


@pytest.mark.long
@pytest.mark.usefixtures("measured")
def test_limit_below_the_smallest_config_is_refused_before_anything_is_made(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove("executor=in_process")
    assert run_command([*arguments, "executor.workers=2", "executor.max_memory_gb=1.5"]) == 2
    err = " ".join(capfd.readouterr().err.split())
    assert "1,000 MB are expected, 750 MB allowed on each of 2 workers" in err
    assert run_command([*arguments, "executor.max_memory_gb=0"]) == 2
    assert "above 0" in capfd.readouterr().err
    assert not (home / "results").exists()
