"""Checkpoints that lack weights: a pooler becomes part of the head, anything else is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from packs import adapter_of, predictions_of, tiny, train
from sweep.commands.cli import run_command
from sweep.core.errors import ModelError
from sweep.core.recipe import Lora, Model, Recipe
from sweep.data.pairs import load_split
from sweep.export.exported import load_adapted, predicted
from sweep.export.scoring import Scoring, Trained
from sweep.export.scoring import predictions_of as scored_together
from sweep.loop.trial import Run
from sweep.lora.model import load_tokenizer, targets_of

#: Family -> what is trained in full.
HEADS = {
    "bert-mlm": ("classifier", "bert.pooler.dense"),
    "albert-mlm": ("classifier", "albert.pooler"),
    "bert": ("classifier",),
    "roberta": ("classifier",),
    "distilbert": ("pre_classifier", "classifier"),
    "deberta-v2": ("pooler", "classifier"),
}


@pytest.mark.parametrize("family", HEADS)
def test_what_the_checkpoint_lacks_of_the_base_belongs_to_the_head(
    family: str, tiny_model: Path, tmp_path: Path
) -> None:
    targets = targets_of(tiny(family, tiny_model, tmp_path), Lora(target_modules="all-linear"))
    assert targets.head == HEADS[family]
    assert not set(targets.head) & set(targets.names)
    assert ("bert.pooler.dense" in targets.names) is (family == "bert")
    pooler = 32 * 32 + 32 if family.endswith("mlm") else 0
    if "pre_classifier" not in targets.head and family not in ("roberta", "deberta-v2"):
        assert targets.head_params == 32 + 1 + pooler


@pytest.mark.trains
def test_classifier_of_another_size_gives_way_to_a_new_one(
    recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    """A base that was trained on three classes, as natural language inference has."""
    folder = tmp_path / "nli"
    shutil.copytree(tiny_model, folder)
    net = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=3)
    net.save_pretrained(folder)
    same = replace(recipe, model=Model(path=str(folder)))
    targets = targets_of(same.model, Lora(target_modules="all-linear"))
    assert (targets.head, targets.head_params) == (("classifier",), 33)
    train(same, tmp_path / "runs")
    dev, tokenizer = load_split(same.data, "dev"), load_tokenizer(same.model)
    reloaded = load_adapted(tmp_path / "runs" / same.run_id, same, tokenizer)
    measured = predictions_of(same, tmp_path / "runs")
    np.testing.assert_allclose(predicted(reloaded, dev, tokenizer, same.data), measured, atol=1e-4)


def test_base_of_another_size_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(tiny_model, folder)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("0.attention.self.query.weight"))
    save_file({**weights, name: weights[name][:16].clone()}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"attention\.self\.query"):
        targets_of(Model(path=str(folder)), Lora())


@pytest.mark.trains
@pytest.mark.parametrize("family", ["bert-mlm", "albert-mlm"])
@pytest.mark.parametrize("lora", [Lora(r=4), Lora(r=4, use_dora=True)], ids=["packed", "alone"])
def test_adapters_of_several_seeds_score_the_same_when_loaded_again(
    family: str, lora: Lora, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    same = replace(recipe, model=tiny(family, tiny_model, tmp_path / "model"), lora=lora)
    recipes = [replace(same, seed=seed) for seed in (0, 1)]
    for one in recipes:
        train(one, tmp_path / "runs")
        assert any("pooler" in name for name in adapter_of(one, tmp_path / "runs"))
    dev, tokenizer = load_split(same.data, "dev"), load_tokenizer(same.model)
    trained = [Trained.of(Run(n, {}, one), tmp_path) for n, one in enumerate(recipes)]
    found = scored_together([Scoring("dev", dev, tuple(trained))], 1)["dev"]
    for one in recipes:
        reloaded = load_adapted(tmp_path / "runs" / one.run_id, one, tokenizer)
        measured = predictions_of(one, tmp_path / "runs")
        np.testing.assert_allclose(found[one.run_id], measured, atol=1e-4)
        again = predicted(reloaded, dev, tokenizer, one.data)
        np.testing.assert_allclose(again, measured, atol=1e-4)
        reloaded.merge_and_unload().save_pretrained(tmp_path / "merged")
        merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
        again = predicted(merged, dev, tokenizer, one.data)
        np.testing.assert_allclose(again, measured, atol=1e-4)


def without(*endings: str) -> Callable[[Path], None]:
    def cut(weights: Path) -> None:
        kept = {n: t for n, t in load_file(weights).items() if not n.endswith(endings)}
        save_file(kept, weights, metadata={"format": "pt"})

    return cut


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            without("layer.1.output.dense.weight"),
            "no weights for bert.encoder.layer.1.output.dense",
        ),
        (without("token_type_embeddings.weight"), "bert.embeddings.token_type_embeddings"),
        (without("weight"), "and 17 more"),
        (lambda weights: weights.write_bytes(b"12345678" * 9), "must be there, and whole"),
        (lambda weights: weights.unlink(), "must be there, and whole"),
    ],
)
def test_checkpoint_that_lacks_more_is_refused_before_training(
    damage: Callable[[Path], None], said: str, tiny_model: Path, tmp_path: Path
) -> None:
    model: Model = tiny("bert", tiny_model, tmp_path)
    damage(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=said) as error:
        targets_of(model, Lora())
    assert error.value.way_out


@pytest.mark.trains
def test_sweep_on_a_model_without_pooler_says_so_and_verifies(
    home: Path,
    arguments: list[str],
    tiny_model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tiny("bert-mlm", tiny_model, tmp_path / "model").path
    small = "search.space={lora.r:[2]}"
    assert run_command([*arguments, f"model.path={folder}", small]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "head   bert.pooler.dense is not in the checkpoint" in out
    assert "verified" in out
