"""Every family: trained as by plain PEFT, saved, reloaded, merged, and used by others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from families import CONFIGS, family
from family_matrix import ALONE, DECODERS, EXPORTED, made, plain_peft, trained, unlike, write_splits
from packs import adapter_of, predictions_of
from reloading import reloaded
from shared import made_once
from sweep.core.recipe import Model, Recipe
from sweep.execute.fresh import in_fresh_process
from sweep.lora.packable import why_alone

pytestmark = [
    pytest.mark.trains,
    # PEFT still asks transformers by the old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

#: Largest difference to plain PEFT and of what is reloaded, in float32, on labels from 0 to 1.
CLOSE = 1e-4


def recipes_of(family: str, session_folder: Path) -> list[Recipe]:
    folder = session_folder / f"family {family}"
    made_once(folder, lambda new: made(family, new))
    pairs = made_once(session_folder / "pairs of families", write_splits)
    return unlike(Model(path=str(folder)), pairs)


def trained_once(family: str, session_folder: Path) -> Path:
    """Where a family is trained and exported, once a session."""
    recipes = recipes_of(family, session_folder)
    folder = session_folder / f"trained {family}"
    return made_once(folder, lambda new: trained(recipes, new))


@family
def test_three_unlike_runs_equal_plain_peft_one_by_one(
    family: str, session_folder: Path, tmp_path: Path
) -> None:
    recipes = recipes_of(family, session_folder)
    folder = trained_once(family, session_folder)
    assert [why_alone(recipe) for recipe in recipes] == [ALONE.get(family)] * 3
    sizes = json.loads((folder / "pack sizes.json").read_text(encoding="utf-8"))
    assert sizes == [1 if family in ALONE else 3] * 3
    for recipe in recipes:
        expected, model = plain_peft(recipe)
        low, high = recipe.data.label_range
        assert np.ptp(expected) > 0.1, "equal predictions for all rows show nothing"
        found = predictions_of(recipe, folder / "runs")
        assert np.allclose(found, expected, rtol=0, atol=CLOSE * (high - low))
        model.save_pretrained(str(tmp_path))
        weights = load_file(tmp_path / "adapter_model.safetensors")
        saved = adapter_of(recipe, folder / "runs")
        assert saved.keys() == weights.keys()
        assert all((saved[name] - weights[name]).abs().max() < CLOSE for name in saved)


@pytest.mark.long
def test_every_export_scores_the_same_in_a_fresh_process(session_folder: Path) -> None:
    recipes = {name: recipes_of(name, session_folder)[EXPORTED] for name in CONFIGS}
    folders = {name: trained_once(name, session_folder) for name in CONFIGS}
    best = [folder / "best" for folder in folders.values()]
    # The pairs are the same for all families.
    scored = in_fresh_process(reloaded, best, Path(recipes["bert"].data.dev))
    for (name, folder), scores in zip(folders.items(), scored, strict=True):
        recipe = recipes[name]
        low, high = recipe.data.label_range
        expected = predictions_of(recipe, folder / "runs")
        for found in scores:
            assert np.abs(found - expected).max() < CLOSE * (high - low), name


@pytest.mark.parametrize("family", DECODERS)
def test_merged_decoder_scores_a_pair_the_same_whatever_pads_it(
    family: str, session_folder: Path
) -> None:
    merged = trained_once(family, session_folder) / "best" / "merged"
    model = AutoModelForSequenceClassification.from_pretrained(merged).eval()
    tokenizer = AutoTokenizer.from_pretrained(merged)
    assert model.config.pad_token_id == tokenizer.pad_token_id is not None
    # GPT-2 counts positions from the left, padding included.
    sides = ("left", "right") if family != "gpt2" else (tokenizer.padding_side,)
    pairs = [("w1 w2 w3", "w4 w5 w1 w2 w7 w9"), ("w6", "w7"), ("w3 w3", "w1")]
    with torch.no_grad():
        alone = [model(**tokenizer([pair], return_tensors="pt")).logits for pair in pairs]
        for side in sides:
            batch = tokenizer(pairs, padding=True, padding_side=side, return_tensors="pt")
            torch.testing.assert_close(model(**batch).logits, torch.cat(alone))
