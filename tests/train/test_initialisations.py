"""Every `lora.init_lora_weights` that is let through trains, and scores the same once reloaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packs import predictions_of, tiny, train
from sweep.cli import run_command
from sweep.core.recipe import Recipe, check_ranges
from sweep.export import load_adapted, predicted
from sweep.train.data import load_split
from sweep.train.model import load_tokenizer


@pytest.mark.parametrize("start", [True, False, "gaussian", "orthogonal", "mica", "pissa", "olora"])
def test_adapter_scores_the_same_when_loaded_again(
    start: bool | str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    lora = replace(recipe.lora, init_lora_weights=start)
    one = replace(recipe, lora=lora, model=tiny("bert", tiny_model, tmp_path / "model"))
    check_ranges(one)
    train(one, tmp_path)
    tokenizer, dev = load_tokenizer(one.model), load_split(one.data, "dev")
    reloaded = load_adapted(tmp_path / one.run_id, one, tokenizer)
    found = predicted(reloaded, dev, tokenizer, one.data)
    np.testing.assert_allclose(found, predictions_of(one, tmp_path), atol=1e-4)


@pytest.mark.parametrize("search", ["grid", "random"])
def test_odd_rank_is_refused_where_the_start_needs_an_even_one(
    search: str, home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    space = "search.space={lora.r:[4,5]}"
    changes = [f"search={search}", space, "lora.init_lora_weights=orthogonal"]
    assert run_command([*arguments, *changes]) == 2
    assert "even rank" in capfd.readouterr().err
    assert not (home / "results").exists()
