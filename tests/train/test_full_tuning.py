"""Full fine-tuning by the one way of training: as in plain transformers, whole after a kill."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    set_seed,
)
from transformers import Trainer as HfTrainer

from packs import predictions_of, tiny, train
from plain_peft import longest_first, plain_arguments
from same_masks import SameMasks
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split, tokenized
from sweep.loop.trial import Evaluated, Event, Progress, Run, RunState
from sweep.lora.packable import pack_key
from sweep.train.runs import train_pack

pytestmark = pytest.mark.trains


def weights_of(recipe: Recipe, runs_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(runs_dir / recipe.run_id / "model" / "model.safetensors")


def plain_trainer(recipe: Recipe, folder: Path, *, same_masks: bool) -> tuple[Any, Any]:
    """What a practitioner would write by hand."""
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.path)
    splits = {s: load_split(recipe.data, s) for s in ("train", "dev")}  # type: ignore[arg-type]
    data = {s: tokenized(p, tokenizer, recipe.data) for s, p in splits.items()}
    set_seed(recipe.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        recipe.model.path, num_labels=1, problem_type="regression"
    )
    collate = DataCollatorWithPadding(tokenizer)
    if same_masks:
        SameMasks(model, tokenizer, seed=recipe.seed).take_part(model)
    args = plain_arguments(recipe, folder)
    trainer = HfTrainer(
        model=model,
        args=args,
        train_dataset=data["train"],
        data_collator=longest_first(collate) if same_masks else collate,
    )
    trainer.train()
    trainer.data_collator = collate
    return trainer.predict(data["dev"]).predictions.reshape(-1), model


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("family", ["bert", "distilbert", "bert-mlm"])
def test_full_fine_tuning_equals_plain_trainer(
    family: str, dropout: float, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model", dropout=dropout)
    trainer = replace(recipe.trainer, eval_steps=6)
    full = replace(recipe, model=model, trainer=trainer).in_full(1e-3)
    outcome = train(full, tmp_path / "ours")
    expected, plain = plain_trainer(full, tmp_path / "plain", same_masks=bool(dropout))
    low, high = full.data.label_range
    expected = low + (high - low) * expected.astype(float)
    assert np.ptp(expected) > 1e-2, "equal predictions for all rows show nothing"
    found = predictions_of(full, tmp_path / "ours")
    assert np.allclose(found, expected, atol=1e-5 * (high - low))
    weights = weights_of(full, tmp_path / "ours")
    for name, parameter in plain.named_parameters():
        if name.endswith(("key.bias", "k_lin.bias")):
            # A softmax does not see it: its gradient is rounding, which Adam makes steps of.
            continue
        assert (weights[name] - parameter.detach()).abs().max() < 1e-4, name
    assert outcome.state is RunState.COMPLETE
    assert outcome.trained_params == sum(p.numel() for p in plain.parameters())
    assert outcome.lora_params is None
    assert outcome.adapted_modules is None


def test_full_run_has_an_identity_of_its_own_and_trains_alone(recipe: Recipe) -> None:
    full = recipe.in_full(5e-5)
    assert full.config_id.startswith("full-")
    other = replace(recipe, lora=replace(recipe.lora, r=16)).in_full(5e-5)
    assert other.config_id == full.config_id, "no setting of LoRA has anything to do with it"
    assert recipe.in_full(2e-5).config_id != full.config_id
    assert pack_key(full) == full.run_id
    assert full.trainer.precision == "fp32"
    assert Recipe.from_dict(asdict(full)) == full


class Killed(BaseException):
    """As sudden as a signal."""


def test_interrupted_full_run_goes_on_to_the_unbroken_result(
    recipe: Recipe, tmp_path: Path
) -> None:
    longer = replace(recipe, trainer=replace(recipe.trainer, max_steps=12, eval_steps=4))
    full = longer.in_full(1e-3)
    whole = train(full, tmp_path / "whole")
    run = Run(0, {}, full)
    (tmp_path / "broken" / run.id).mkdir(parents=True)

    def handle(event: Event) -> None:
        if isinstance(event, Evaluated) and event.evaluation.step == 8:
            raise Killed

    with pytest.raises(Killed):
        train_pack((run,), tmp_path / "broken", handle)
    events: list[Event] = []
    found = train(full, tmp_path / "broken", events)
    assert min(e.step for e in events if isinstance(e, Progress)) > 4, "it started over"
    assert found.score == pytest.approx(whole.score, abs=1e-6)
    for name, weights in weights_of(full, tmp_path / "whole").items():
        assert torch.allclose(weights_of(full, tmp_path / "broken")[name], weights, atol=1e-6)
