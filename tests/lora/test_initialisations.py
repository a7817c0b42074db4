"""Every `lora.init_lora_weights` that is let through trains, and scores the same once reloaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packs import predictions_of, tiny, train
from sweep.commands.cli import run_command
from sweep.core.ranges import check_ranges
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.execute.boundary import Boundary
from sweep.export.exported import load_adapted, predicted
from sweep.loop.trial import Event, Finished, Run
from sweep.lora.model import load_tokenizer
from sweep.lora.packable import pack_key
from sweep.train.runs import train_pack


@pytest.mark.trains
@pytest.mark.parametrize(
    "start", [True, False, "gaussian", "orthogonal", "mica", "pissa", "olora", "eva"]
)
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


@pytest.mark.long
@pytest.mark.parametrize("search", ["grid", "random"])
def test_odd_rank_is_refused_where_the_start_needs_an_even_one(
    search: str, home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    space = "search.space={lora.r:[4,5]}"
    changes = [f"search={search}", space, "lora.init_lora_weights=orthogonal"]
    assert run_command([*arguments, *changes]) == 2
    assert "even rank" in capfd.readouterr().err
    assert not (home / "results").exists()


@pytest.mark.trains
def test_setting_that_peft_refuses_fails_its_own_run_only(recipe: Recipe, tmp_path: Path) -> None:
    ranks = (4, 5, 6)
    recipes = [
        replace(recipe, lora=replace(recipe.lora, r=r, init_lora_weights="orthogonal"))
        for r in ranks
    ]
    assert len({pack_key(one) for one in recipes}) == 1
    events: list[Event] = []
    pack = tuple(Run(n, {}, one) for n, one in enumerate(recipes))
    Boundary(train_pack, runs_dir=tmp_path, worker="w").attempt(pack, events.append)
    ended = {e.run_id: e.outcome for e in events if isinstance(e, Finished)}
    assert [ended[run.id].state.value for run in pack] == ["complete", "failed", "complete"]
    assert "even" in str(ended[pack[1].id].reason)
    # What a pack of the good ones alone would have given.
    for run in (pack[0], pack[2]):
        alone = predictions_of(run.recipe, tmp_path)
        train(run.recipe, tmp_path / "alone")
        np.testing.assert_allclose(predictions_of(run.recipe, tmp_path / "alone"), alone, atol=1e-4)
