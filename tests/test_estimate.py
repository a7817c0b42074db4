"""What runs are expected to take, and what is too large for a worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from sweep import estimate
from sweep.cli import run_command
from sweep.core.recipe import Recipe
from sweep.estimate import Estimates, MemoryLimit
from sweep.settings import Settings
from sweep.train.memory import memory_for_workers
from sweep.train.pace import Pace


def with_lora(recipe: Recipe, r: int, targets: str) -> Recipe:
    return replace(recipe, lora=replace(recipe.lora, r=r, target_modules=targets))


def test_estimates_lie_between_what_was_tried(recipe: Recipe) -> None:
    small, large = with_lora(recipe, 2, "qv"), with_lora(recipe, 4, "all-linear")
    middle = with_lora(recipe, 4, "qv")
    estimates = Estimates((small, large), (Pace(0.1, 1.0, 500.0), Pace(0.2, 1.5, 800.0)), 40)
    seconds = [estimates.seconds(recipe) for recipe in (small, middle, large)]
    memory = [estimates.peak_memory_mb(recipe) for recipe in (small, middle, large)]
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[1] < seconds[2]
    assert memory[0] == 500
    assert memory[1] is not None
    assert 500 < memory[1] < 800
    assert memory[2] == 800


def test_memory_that_can_t_be_measured_is_not_known(recipe: Recipe) -> None:
    estimates = Estimates((recipe,), (Pace(0.1, 1.0, None),), 40)
    assert estimates.peak_memory_mb(recipe) is None
    assert MemoryLimit(100.0, estimates).excess_mb(recipe) < 0


def test_workers_share_what_is_allowed() -> None:
    everything = memory_for_workers(1)
    assert everything is not None
    assert memory_for_workers(2) == everything / 2
    assert memory_for_workers(2, most_gb=1.0) == 500
    assert memory_for_workers(1, most_gb=1e9) == everything


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A MB for each number in LoRA: a tiny model's own differences drown in the process."""

    def of(settings: Settings) -> Estimates:
        recipes = [recipe for _, recipe in settings.configs()]
        recipes.sort(key=estimate.relative_memory)
        ends = (recipes[0], recipes[-1])
        return Estimates(ends, (Pace(0.1, 0.1, 1000.0), Pace(0.1, 0.1, 2000.0)), 40)

    monkeypatch.setattr(estimate, "measured_estimates", of)


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
