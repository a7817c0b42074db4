"""How many runs train at once, with GPUs, without, and where GPUs are left to others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from packs import train
from sweep.budget import workers
from sweep.budget.estimate import estimates_of_packs
from sweep.budget.packs import largest_pack
from sweep.budget.workload import Workload
from sweep.commands import build
from sweep.commands.build import workers_of
from sweep.config.compose import load_settings
from sweep.config.schema import Settings
from sweep.core.recipe import Recipe
from sweep.study.files import StudyFiles
from sweep.train.devices import num_gpus
from sweep.train.pace import Pace, measure_pace
from sweep.train.precision import resolve_precision


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four cores and two GPUs, which nobody may use: they are not there."""

    def missing(*_: Any, **__: Any) -> Any:
        raise AssertionError("a GPU was used")

    properties = SimpleNamespace(total_memory=80e9)
    monkeypatch.setattr(workers, "physical_cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    for name in ("reset_peak_memory_stats", "max_memory_allocated", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, missing)


def settings_with(*, use_cpu: bool) -> Settings:
    return load_settings(["+experiment=lora_grid", f"trainer.use_cpu={use_cpu}"])[0]


def numbers(settings: Settings) -> dict[str, object]:
    """All that is chosen by the devices."""
    found = workers_of(settings)
    return {
        "gpus": found.gpus,
        "count": found.count,
        "num_scorers": found.num_scorers,
        "threads": found.threads,
        "largest_pack": largest_pack(Workload.of(settings), found),
        "memory_mb": found.memory_mb,
    }


@pytest.mark.long
@pytest.mark.usefixtures("two_gpus")
def test_gpus_that_are_left_to_others_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus, spared = (numbers(settings_with(use_cpu=use_cpu)) for use_cpu in (False, True))
    assert with_gpus == {
        "gpus": 2,
        "count": 2,
        "num_scorers": 1,
        "threads": 2,
        "largest_pack": 32,
        "memory_mb": 80e3,
    }
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert spared == numbers(settings_with(use_cpu=False))
    assert spared["count"] == spared["num_scorers"] == 4
    assert spared["largest_pack"] in range(1, 5)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("use_cpu", [False, True])
def test_workers_are_shared_out_over_gpus_or_pinned_to_cores(
    use_cpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: dict[str, Any] = {}
    monkeypatch.setattr(build, "Processes", lambda train, **kwargs: opened.update(kwargs))
    asked = workers_of(settings_with(use_cpu=use_cpu))
    build.executor_of(asked, StudyFiles(tmp_path), runs=8, pack_size=4)
    expected = {"workers": 4, "gpus": 0, "cores": (0, 1, 2, 3)} if use_cpu else {"gpus": 2}
    assert expected.items() <= opened.items()


@pytest.mark.usefixtures("two_gpus")
def test_every_slice_of_a_gpu_has_a_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # CUDA shows the first of them alone.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a/1/0,MIG-a/2/0,MIG-b")
    opened: dict[str, Any] = {}
    monkeypatch.setattr(build, "Processes", lambda train, **kwargs: opened.update(kwargs))
    asked = workers_of(settings_with(use_cpu=False))
    build.executor_of(asked, StudyFiles(tmp_path), runs=8, pack_size=4)
    assert (asked.count, opened["workers"], opened["gpus"]) == (3, 3, 3)
    assert workers_of(settings_with(use_cpu=True)).gpus == 0


@pytest.mark.trains
@pytest.mark.usefixtures("two_gpus")
def test_training_that_leaves_gpus_to_others_asks_nothing_of_them(
    recipe: Recipe, tmp_path: Path
) -> None:
    spared = replace(recipe, trainer=replace(recipe.trainer, use_cpu=True))
    outcome = train(spared, tmp_path)
    assert outcome.score is not None
    assert outcome.peak_memory_mb is None or outcome.peak_memory_mb > 50
    pace = measure_pace([spared])
    assert pace.peak_memory_mb is None or pace.peak_memory_mb > 50


@pytest.mark.long
@pytest.mark.usefixtures("two_gpus")
def test_packs_are_tried_side_by_side_where_no_gpu_is_shared(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    asked: list[int] = []

    class Pool:
        """Of threads; notes how many, and calls at once."""

        def __init__(self, threads: int) -> None:
            asked.append(threads)

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None: ...

        map = staticmethod(map)

    monkeypatch.setattr("sweep.budget.estimate.ThreadPoolExecutor", Pool)
    monkeypatch.setattr("sweep.budget.estimate.warm_up", lambda _: None)
    pace = Pace((recipe,), 0.0, 0.1, 1.0, None)
    monkeypatch.setattr("sweep.budget.estimate.in_fresh_process", lambda *_: pace)
    for use_cpu in (False, True):
        settings = settings_with(use_cpu=use_cpu)
        estimates_of_packs(Workload.of(settings), workers_of(settings))
    assert asked == [1, 4]


@pytest.mark.usefixtures("two_gpus")
def test_precision_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {})
    assert (num_gpus(use_cpu=False), resolve_precision("auto", use_cpu=False)) == (2, "bf16")
    assert (num_gpus(use_cpu=True), resolve_precision("auto", use_cpu=True)) == (0, "fp32")
