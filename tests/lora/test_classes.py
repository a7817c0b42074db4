"""Classification in packs equals plain PEFT + `Trainer` with cross entropy, run by run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import Value
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, f1_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    set_seed,
)
from transformers import Trainer as HfTrainer

from packs import adapter_of, predictions_of, tiny, train_together
from plain_peft import plain_arguments
from sweep.core.recipe import Recipe
from sweep.core.task import Task
from sweep.data.pairs import load_split, tokenized
from sweep.lora.model import targets_in

pytestmark = pytest.mark.trains

CLASSES = ("unlike", "half", "alike")
TASK = Task(kind="classification", metric="accuracy")


@pytest.fixture
def classified(recipe: Recipe, tiny_model: Path, tmp_path: Path) -> Recipe:
    """The usual recipe, its scores put into three classes."""
    files = {}
    for split in ("train", "dev"):
        pairs = pd.read_csv(getattr(recipe.data, split))
        pairs["class"] = [CLASSES[int(score >= 1.5) + int(score >= 3)] for score in pairs["score"]]
        files[split] = str(tmp_path / f"{split}.csv")
        pairs.to_csv(files[split], index=False)
    data = replace(recipe.data, **files, label="class", classes=CLASSES)
    model = tiny("bert", tiny_model, tmp_path / "model")
    trainer = replace(recipe.trainer, max_steps=12, eval_steps=12, learning_rate=1e-2)
    return replace(recipe, data=data, model=model, task=TASK, trainer=trainer)


def plain(recipe: Recipe, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Answers and weights of what a practitioner would write by hand."""
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.path)
    tables = {
        split: tokenized(load_split(recipe.data, split), tokenizer, recipe.data).cast_column(
            "labels", Value("int64")
        )
        for split in ("train", "dev")
    }
    set_seed(recipe.seed)
    base = AutoModelForSequenceClassification.from_pretrained(recipe.model.path, num_labels=3)
    lora, targets = recipe.lora, targets_in(recipe)
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=lora.r,
        lora_alpha=int(lora.lora_alpha),
        lora_dropout=lora.lora_dropout,
        target_modules=targets.names,
        modules_to_save=list(targets.head),
    )
    model = get_peft_model(base, config)
    args = plain_arguments(recipe, folder)
    collate = DataCollatorWithPadding(tokenizer)
    ours = HfTrainer(model=model, args=args, train_dataset=tables["train"], data_collator=collate)
    ours.train()
    answers = ours.predict(tables["dev"]).predictions.argmax(-1)
    model.save_pretrained(str(folder / "saved"))
    return answers, load_file(folder / "saved" / "adapter_model.safetensors")


@pytest.mark.parametrize("text_b", ["sentence2", None])
def test_pack_equals_plain_peft_and_trainer_run_by_run(
    text_b: str | None, classified: Recipe, tmp_path: Path
) -> None:
    same = replace(classified, data=replace(classified.data, text_b=text_b))
    lora = replace(same.lora, lora_dropout=0.0)
    recipes = [
        replace(same, lora=replace(lora, r=2)),
        replace(same, lora=replace(lora, r=8, target_modules="all-linear")),
        replace(same, lora=lora, trainer=replace(same.trainer, learning_rate=2e-2)),
    ]
    outcomes = train_together(recipes, tmp_path / "ours")
    labels = load_split(same.data, "dev").labels
    assert labels is not None
    for number, (one, outcome) in enumerate(zip(recipes, outcomes, strict=True)):
        answers, weights = plain(one, tmp_path / f"plain-{number}")
        assert len(set(answers)) > 1, "one answer for all rows shows nothing"
        assert np.array_equal(predictions_of(one, tmp_path / "ours"), answers)
        found = adapter_of(one, tmp_path / "ours")
        assert found.keys() == weights.keys()
        for name in found:
            assert (found[name] - weights[name]).abs().max() < 1e-4, name
        assert outcome.pack_size == 3
        assert outcome.score == pytest.approx(accuracy_score(labels, answers))
        assert outcome.beside == pytest.approx(f1_score(labels, answers, average="macro"))
