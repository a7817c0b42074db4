"""Whether a sweep fine-tunes all of its base: by device, size and runs, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.config import full_tuning
from sweep.config.compose import load_settings
from sweep.config.full_tuning import FullTuning, full_tuning_of
from sweep.core.errors import ConfigError


def decided(*arguments: str) -> FullTuning:
    return full_tuning_of(load_settings(["+experiment=lora_grid", *arguments])[0])


@pytest.mark.long
def test_minilm_is_left_out_on_a_cpu_and_the_words_say_how_to_train_it() -> None:
    found = decided("trainer.use_cpu=true")
    assert not found.is_on
    assert found.params == 22_713_601
    assert found.line == (
        "full   fine-tuning of 22.7M parameters is left out: auto takes up to 5.0M on a CPU; "
        "baselines.full=true trains it (3 learning rates, then the best on 2 seeds)"
    )
    assert decided("trainer.use_cpu=true", "baselines=all").is_on
    assert decided("baselines=none").why == "baselines.full=false"


@pytest.mark.long
def test_gpu_trains_it_unless_its_runs_are_many_beside_those_of_lora(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(full_tuning, "num_gpus", lambda *, use_cpu: 1)
    # 8 cells and as many runs that confirm the leaders: 3 rates and 2 seeds are less than half.
    assert decided().is_on
    few = decided("confirm=none")
    assert few.is_on, "3 rates on the search's seed, beside 8 runs"
    assert not decided("confirm=none", "search.space={lora.r:[4,8]}").is_on


def test_small_base_is_trained_on_a_cpu(tiny_model: Path) -> None:
    assert decided(f"model.path={tiny_model}", "trainer.use_cpu=true").is_on


@pytest.mark.parametrize("rates", ["[]", "[0]", "[1e-4,1e-4]"])
def test_rates_that_are_none_are_refused(rates: str) -> None:
    with pytest.raises(ConfigError, match=r"baselines\.full_rates"):
        decided(f"baselines.full_rates={rates}")
