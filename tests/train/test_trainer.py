"""One run: equal to plain PEFT + Trainer, independent of its neighbours, honest when it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from scipy.stats import pearsonr
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DataCollatorWithPadding,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    RobertaConfig,
    RobertaModel,
    TrainingArguments,
    set_seed,
)
from transformers import Trainer as HfTrainer

from sweep.core.errors import RunFailed
from sweep.core.recipe import Model, Recipe
from sweep.core.trial import Evaluated, Event, Outcome, Progress, Run, RunState
from sweep.train.data import load_split, tokenized
from sweep.train.model import targets_of
from sweep.train.trainer import scores, train_run


def train(recipe: Recipe, folder: Path, events: list[Event] | None = None) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    sink: list[Event] = [] if events is None else events
    return train_run(Run(0, {}, recipe), folder, sink.append)


def test_run_reports_scores_costs_and_keeps_adapter_and_predictions(
    recipe: Recipe, tmp_path: Path
) -> None:
    events: list[Event] = []
    outcome = train(recipe, tmp_path, events)
    assert outcome.state is RunState.COMPLETE
    assert [e.step for e in outcome.evaluations] == [3, 6]
    assert outcome.pearson == max(e.pearson for e in outcome.evaluations)
    assert outcome.pearson_last == outcome.evaluations[-1].pearson
    assert outcome.lora_params == 2 * 2 * 4 * (32 + 32)
    assert outcome.adapted_modules == 4
    assert outcome.head_params == 33
    assert outcome.peak_memory_mb is None or outcome.peak_memory_mb > 10
    assert (outcome.tokens_per_second or 0) > 0
    assert [e.evaluation.step for e in events if isinstance(e, Evaluated)] == [3, 6]
    steps = [(e.step, e.total_steps) for e in events if isinstance(e, Progress)]
    assert steps[-1] == (6, 6)
    labels = load_split(recipe.data, "dev").labels
    predictions = np.load(tmp_path / "predictions.npy")
    assert pearsonr(predictions, labels).statistic == pytest.approx(outcome.pearson, abs=1e-9)


def test_kept_adapter_is_that_of_the_best_evaluation(recipe: Recipe, tmp_path: Path) -> None:
    # A rate that climbs and then wrecks the model: the best step is not the last one.
    wild = replace(
        recipe, trainer=replace(recipe.trainer, learning_rate=0.3, max_steps=12, eval_steps=2)
    )
    outcome = train(wild, tmp_path)
    steps = [e.step for e in outcome.evaluations]
    assert outcome.best_step in steps
    assert outcome.best_step != steps[-1], "the case shows nothing when the last step is best"
    base = AutoModelForSequenceClassification.from_pretrained(
        recipe.model.path, num_labels=1, problem_type="regression"
    )
    model = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    dev = load_split(recipe.data, "dev")
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.path)
    batch = tokenizer(list(dev.text_a), list(dev.text_b), padding=True, return_tensors="pt")
    with torch.no_grad():
        predictions = model(**batch).logits.reshape(-1).numpy()
    assert pearsonr(predictions, dev.labels).statistic == pytest.approx(outcome.pearson, abs=1e-5)


def test_result_does_not_depend_on_what_ran_before(recipe: Recipe, tmp_path: Path) -> None:
    alone = train(recipe, tmp_path / "a")
    other = replace(recipe, lora=replace(recipe.lora, r=8), seed=7)
    train(other, tmp_path / "b")
    torch.rand(13)
    np.random.rand(5)
    after = train(recipe, tmp_path / "c")
    assert after.pearson == pytest.approx(alone.pearson, abs=1e-6)
    first, second = (np.load(tmp_path / n / "predictions.npy") for n in ("a", "c"))
    assert np.allclose(first, second, atol=1e-6)


def test_other_seed_is_another_result(recipe: Recipe, tmp_path: Path) -> None:
    assert (
        train(recipe, tmp_path / "a").pearson
        != train(replace(recipe, seed=1), tmp_path / "b").pearson
    )


def plain_peft_and_trainer(
    recipe: Recipe, folder: Path, targets: list[str]
) -> tuple[dict[str, float], PeftModel]:
    """What a practitioner would write by hand for the same recipe."""
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.path)
    splits = {s: load_split(recipe.data, s) for s in ("train", "dev")}  # type: ignore[arg-type]
    data = {s: tokenized(p, tokenizer, recipe.data) for s, p in splits.items()}
    set_seed(recipe.seed)
    base = AutoModelForSequenceClassification.from_pretrained(
        recipe.model.path, num_labels=1, problem_type="regression"
    )
    lora = recipe.lora
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=lora.r,
        lora_alpha=int(lora.lora_alpha),
        lora_dropout=lora.lora_dropout,
        target_modules=targets,
        # Beside `classifier` and `score`, which PEFT takes unasked.
        modules_to_save=list(targets_of(recipe.model, recipe.lora).head),
    )
    model = get_peft_model(base, config)
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=recipe.trainer.learning_rate,
        max_steps=recipe.trainer.max_steps,
        per_device_train_batch_size=recipe.trainer.per_device_train_batch_size,
        weight_decay=recipe.trainer.weight_decay,
        warmup_steps=recipe.trainer.warmup_steps,
        optim="adamw_torch",
        seed=recipe.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )

    def metrics(prediction: Any) -> dict[str, float]:
        return {"pearson": pearsonr(prediction.predictions.reshape(-1), prediction.label_ids)[0]}

    trainer = HfTrainer(
        model=model,
        args=args,
        train_dataset=data["train"],
        eval_dataset=data["dev"],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=metrics,
    )
    trainer.train()
    return trainer.evaluate(), model


OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
#: Family -> (config class, model class, its own dropout switched off, its query and value).
FAMILIES: dict[str, tuple[type, type, dict[str, Any], list[str]]] = {
    "bert": (BertConfig, BertModel, OFF, ["query", "value"]),
    "roberta": (RobertaConfig, RobertaModel, OFF, ["query", "value"]),
    "electra": (ElectraConfig, ElectraModel, OFF, ["query", "value"]),
    "distilbert": (
        DistilBertConfig,
        DistilBertModel,
        {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0},
        ["q_lin", "v_lin"],
    ),
    "deberta-v2": (DebertaV2Config, DebertaV2Model, OFF, ["query_proj", "value_proj"]),
}


def without_dropout(family: str, tiny_model: Path, folder: Path) -> Model:
    """A tiny random model of a family whose own dropout is off, saved with the tokenizer."""
    kind, model, off, _ = FAMILIES[family]
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    sizes = {
        "hidden_size": 32,
        "embedding_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    if family == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    torch.manual_seed(0)
    config = kind(
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
        # Small weights give nearly equal predictions, whose correlation is rounding.
        initializer_range=0.2,
        **sizes,
        **off,
    )
    model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Model(path=str(folder))


@pytest.mark.parametrize("family", FAMILIES)
def test_run_equals_plain_peft_and_trainer(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    # Dropout is off: its masks are our own. One evaluation, at the end: the kept adapter is then
    # the last one.
    same = replace(
        recipe,
        model=without_dropout(family, tiny_model, tmp_path / "model"),
        lora=replace(recipe.lora, lora_dropout=0.0),
        trainer=replace(recipe.trainer, eval_steps=6),
    )
    ours = train(same, tmp_path / "ours")
    metrics, model = plain_peft_and_trainer(same, tmp_path / "plain", FAMILIES[family][3])
    assert ours.pearson == pytest.approx(metrics["eval_pearson"], abs=1e-5)
    model.save_pretrained(str(tmp_path / "saved"))
    kept = load_file(tmp_path / "ours" / "adapter" / "adapter_model.safetensors")
    plain = load_file(tmp_path / "saved" / "adapter_model.safetensors")
    assert kept.keys() == plain.keys()
    for name in kept:
        assert torch.allclose(kept[name], plain[name], atol=1e-5), name


def test_dropout_changes_what_is_learned(recipe: Recipe, tmp_path: Path) -> None:
    # Guards the comparison above: a mask that is never applied would pass it.
    rates = [0.0, 0.3]
    outcomes = [
        train(replace(recipe, lora=replace(recipe.lora, lora_dropout=rate)), tmp_path / str(rate))
        for rate in rates
    ]
    assert outcomes[0].pearson_last != outcomes[1].pearson_last


def test_epochs_are_evaluated_each(recipe: Recipe, tmp_path: Path) -> None:
    trainer = replace(
        recipe.trainer, max_steps=-1, num_train_epochs=2, eval_strategy="epoch", eval_steps=None
    )
    outcome = train(replace(recipe, trainer=trainer), tmp_path)
    assert [e.epoch for e in outcome.evaluations] == [1, 2]
    assert outcome.steps == 24


def test_last_step_is_always_evaluated(recipe: Recipe, tmp_path: Path) -> None:
    trainer = replace(recipe.trainer, max_steps=5, eval_steps=3)
    outcome = train(replace(recipe, trainer=trainer), tmp_path)
    assert [e.step for e in outcome.evaluations] == [3, 5]


def test_diverged_run_fails_with_a_reason(recipe: Recipe, tmp_path: Path) -> None:
    trainer = replace(recipe.trainer, learning_rate=1e30, max_steps=20, eval_steps=20)
    with pytest.raises(RunFailed, match=r"diverged|undefined"):
        train(replace(recipe, trainer=trainer), tmp_path)
    assert not (tmp_path / "adapter").exists()


def test_undefined_correlation_is_nan_and_never_zero() -> None:
    labels = np.array([1.0, 2.0, 3.0])
    for predictions in ([2.0, 2.0, 2.0], [1.0, np.nan, 2.0], [1.0, np.inf, 2.0]):
        pearson, spearman = scores(np.array(predictions), labels)
        assert np.isnan(pearson)
        assert np.isnan(spearman)


def test_scores_refuse_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        scores(np.zeros((3, 1)), np.zeros(3))
