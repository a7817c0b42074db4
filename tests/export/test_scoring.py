"""Scores of trained adapters on further pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packs import MIXED, tiny, train
from sweep.core.recipe import Lora, Recipe
from sweep.data.pairs import load_split
from sweep.export.exported import load_adapted, predicted
from sweep.export.scoring import (
    Scoring,
    Trained,
    order_asymmetry,
    order_scoring,
    predictions_of,
    scored,
)
from sweep.loop.trial import Run
from sweep.lora.model import load_tokenizer
from sweep.lora.packable import why_alone
from sweep.train.keeper import scores
from sweep.train.runs import train_pack

pytestmark = pytest.mark.trains

SETTINGS = [
    Lora(r=2),
    Lora(r=8, target_modules="all-linear", lora_dropout=0.2),
    Lora(r=4, target_modules="attention", use_rslora=True),
    Lora(r=2, target_modules="mlp"),
    Lora(r=4),
    Lora(r=4, use_dora=True),
    Lora(r=4, init_lora_weights="pissa"),
    Lora(r=4, bias="lora_only"),
]


@pytest.fixture(scope="module")
def trained(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """More than fit into one pack, on two seeds; DoRA, PiSSA, and one that can't be packed."""
    study = tmp_path_factory.mktemp("study")
    folder = study / "runs"
    runs = [
        Run(place, {}, replace(recipe, lora=lora, seed=place % 2))
        for place, lora in enumerate(SETTINGS)
    ]
    for run in runs:
        (folder / run.id).mkdir(parents=True)
        train_pack((run,), folder, lambda event: None)
    return [Trained.of(run, study) for run in runs]


@pytest.mark.parametrize("processes", [1, 3])
def test_packed_scores_are_those_of_plain_peft(trained: list[Trained], processes: int) -> None:
    assert [why_alone(one.run.recipe) for one in trained] == [
        *[None] * 7,
        "lora.bias=lora_only",
    ]
    data = trained[0].run.recipe.data
    pairs = {split: load_split(data, split) for split in ("dev", "train")}
    # The first one alone has train pairs to score.
    wanted = [
        Scoring("dev", pairs["dev"], tuple(trained)),
        Scoring("train", pairs["train"], (trained[0],)),
    ]
    found = scored(wanted, processes=processes, threads=1)
    assert list(found["train"]) == [trained[0].run.id]
    for one in trained:
        recipe = one.run.recipe
        tokenizer = load_tokenizer(recipe.model)
        model = load_adapted(one.folder, recipe, tokenizer)
        for split in ("dev", "train") if one is trained[0] else ("dev",):
            plain = predicted(model, pairs[split], tokenizer, data)
            assert np.allclose(found[split][one.run.id], plain, atol=1e-5)
        assert np.allclose(found["dev"][one.run.id], np.load(one.folder / "predictions.npy"))


@pytest.mark.parametrize("family", MIXED)
def test_adapters_whose_base_can_not_be_packed_are_scored_one_by_one(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model")
    lora = replace(recipe.lora, target_modules="all-linear")
    recipes = [replace(recipe, model=model, lora=replace(lora, r=r)) for r in (2, 4)]
    outcomes = [train(one, tmp_path / "runs") for one in recipes]
    assert all(outcome.score is not None for outcome in outcomes)
    adapters = [Trained.of(Run(0, {}, one), tmp_path) for one in recipes]
    found = predictions_of([Scoring("dev", load_split(recipe.data, "dev"), tuple(adapters))], 1)
    for one in adapters:
        assert np.allclose(found["dev"][one.run.id], np.load(one.folder / "predictions.npy"))


def test_order_of_the_sentences_is_compared_with_what_the_sweep_kept(
    trained: list[Trained],
) -> None:
    one = trained[1]
    recipe = one.run.recipe
    dev = load_split(recipe.data, "dev")
    tokenizer = load_tokenizer(recipe.model)
    model = load_adapted(one.folder, recipe, tokenizer)
    forth, back = (predicted(model, p, tokenizer, recipe.data) for p in (dev, dev.swapped()))
    found = order_asymmetry(one, predictions_of(order_scoring(one), 1))
    assert found.mean_difference == pytest.approx(np.abs(forth - back).mean(), abs=1e-5)
    assert dev.labels is not None
    change = scores(back, dev.labels)[0] - scores(forth, dev.labels)[0]
    assert found.score_change == pytest.approx(change, abs=1e-3)
