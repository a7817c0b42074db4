"""A pack of bi-encoders equals plain PEFT + `Trainer`, run by run, and starts at the cosine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, T5Config, T5Model, set_seed
from transformers import Trainer as HfTrainer

from companions import companions
from packs import adapter_of, predictions_of, presets_of, tiny, train, train_together
from plain_peft import plain_arguments
from sweep.core.errors import ModelError
from sweep.core.recipe import Lora, Model, Recipe
from sweep.core.task import Task
from sweep.data.pairs import Pairs, in_label_units, load_split
from sweep.loop.trial import Run
from sweep.lora.batches import Collator
from sweep.lora.model import load_tokenizer, targets_in
from sweep.lora.pack import PackedModel
from sweep.lora.packable import pack_key
from sweep.lora.sentence_vectors import cosines, pooling_of, sentence_vectors
from sweep.train.runs import base_of
from sweep.train.splits import ScoredSet, splits

PREFIX = "바다 "


@pytest.fixture
def bi(recipe: Recipe) -> Recipe:
    """Without dropout, scored once, at the end: the kept adapter is then the last one."""
    return replace(
        recipe,
        data=replace(recipe.data, max_length=8),
        lora=replace(recipe.lora, lora_dropout=0.0),
        trainer=replace(recipe.trainer, eval_steps=6),
        task=Task(encoder="bi"),
    )


def pooled_by(model: Model, mode: str | None) -> Model:
    """The model with a folder that says how it pools, and a prefix."""
    folder = Path(model.path)
    if mode is not None:
        (folder / "1_Pooling").mkdir()
        content: dict[str, Any] = {"embedding_dimension": 32, "pooling_mode": mode}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(content), encoding="utf-8")
        prompts = {"prompts": {"q": PREFIX}, "default_prompt_name": "q"}
        path = folder / "config_sentence_transformers.json"
        path.write_text(json.dumps(prompts), encoding="utf-8")
    return model


def unlike(recipe: Recipe) -> list[Recipe]:
    """Four runs of one pack that differ in all that is a run's own."""
    qv, attention, everything = presets_of(recipe)
    lora, trainer = recipe.lora, recipe.trainer
    configs = [
        (replace(lora, r=2, target_modules=qv), replace(trainer, learning_rate=5e-3)),
        (
            replace(lora, r=4, target_modules=everything),
            replace(trainer, learning_rate=2e-3, weight_decay=0.1, warmup_steps=3),
        ),
        (
            replace(lora, r=8, target_modules=attention, use_rslora=True),
            replace(trainer, learning_rate=1e-3, max_grad_norm=0.05),
        ),
        (replace(lora, r=16, lora_alpha=4, target_modules=qv), replace(trainer, max_grad_norm=0)),
    ]
    return [replace(recipe, lora=one, trainer=other) for one, other in configs]


class PlainBiEncoder(nn.Module):
    """What a practitioner would write by hand: two passes, pooled, and their cosine."""

    def __init__(self, model: PeftModel, mode: str | None, loss: str) -> None:
        super().__init__()
        self.model, self.mode, self.loss = model, mode, loss

    def vectors(self, batch: dict[str, Tensor]) -> Tensor:
        states = self.model(**batch).last_hidden_state
        rows = [
            row[: int(mask.sum())]
            for row, mask in zip(states, batch["attention_mask"], strict=True)
        ]
        pick = {
            "cls": lambda row: row[0],
            "max": lambda row: row.max(0).values,
            "lasttoken": lambda row: row[-1],
        }.get(self.mode or "mean", lambda row: row.mean(0))
        return torch.stack([pick(row) for row in rows])

    def forward(
        self, one: dict[str, Tensor], other: dict[str, Tensor], labels: Tensor
    ) -> dict[str, Tensor]:
        cosine = torch.cosine_similarity(self.vectors(one), self.vectors(other))
        if self.loss == "mse":
            return {"loss": nn.functional.mse_loss(cosine, labels), "logits": cosine}
        total = torch.ones(())
        for i in range(len(labels)):
            for j in range(len(labels)):
                if labels[i] < labels[j]:
                    total = total + torch.exp(20 * (cosine[i] - cosine[j]))
        return {"loss": total.log(), "logits": cosine}


def rows_of(pairs: Pairs, recipe: Recipe) -> list[dict[str, Any]]:
    low, high = recipe.data.label_range
    assert pairs.labels is not None
    labels = ((pairs.labels - low) / (high - low)).tolist()
    both = zip(pairs.text_a, pairs.text_b, labels, strict=True)
    return [{"one": a, "other": b, "labels": label} for a, b, label in both]


def plain_run(recipe: Recipe, mode: str | None, folder: Path) -> tuple[Any, PeftModel]:
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.path)
    base = AutoModel.from_pretrained(recipe.model.path)
    # A pooler that the checkpoint lacks is drawn while loading, and used by nobody.
    set_seed(recipe.seed)
    accepted = {"input_ids", "attention_mask"}
    accepted |= {"token_type_ids"} if base.config.model_type == "bert" else set()
    lora = recipe.lora
    config = LoraConfig(
        task_type="FEATURE_EXTRACTION",
        r=lora.r,
        lora_alpha=int(lora.lora_alpha),
        lora_dropout=0.0,
        target_modules=targets_in(recipe).names,
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        bias=lora.bias,
        init_lora_weights=lora.init_lora_weights,
    )
    model = get_peft_model(base, config)
    assert isinstance(model, PeftModel)
    prefix = "" if mode is None else PREFIX

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        def side(name: str) -> dict[str, Tensor]:
            texts = [prefix + row[name] for row in rows]
            length = recipe.data.max_length
            found = tokenizer(
                texts, truncation=True, max_length=length, padding=True, return_tensors="pt"
            )
            return {name: part for name, part in found.items() if name in accepted}

        labels = torch.tensor([row["labels"] for row in rows])
        return {"one": side("one"), "other": side("other"), "labels": labels}

    args = plain_arguments(recipe, folder, remove_unused_columns=False)
    plain = HfTrainer(
        model=PlainBiEncoder(model, mode, recipe.task.loss),
        args=args,
        train_dataset=rows_of(load_split(recipe.data, "train"), recipe),
        data_collator=collate,
    )
    plain.train()
    return plain.predict(rows_of(load_split(recipe.data, "dev"), recipe)).predictions, model


def assert_equal_to_plain(recipe: Recipe, mode: str | None, runs: Path, folder: Path) -> None:
    plain, model = plain_run(recipe, mode, folder)
    expected = in_label_units(plain.reshape(-1).astype(float), recipe.data)
    assert np.ptp(expected) > 1e-2, "equal predictions for all rows show nothing"
    low, high = recipe.data.label_range
    assert np.allclose(predictions_of(recipe, runs), expected, atol=1e-5 * (high - low))
    model.save_pretrained(str(folder / "saved"))
    found, weights = adapter_of(recipe, runs), load_file(folder / "saved/adapter_model.safetensors")
    assert found.keys() == weights.keys()
    # The bias of a key moves no attention: its gradient is rounding, which Adam makes steps of.
    for name in (name for name in found if not name.endswith("key.bias")):
        assert (found[name] - weights[name]).abs().max() < 1e-4, name


CASES = [
    ("bert", None),
    ("bert", "mean"),
    ("bert", "cls"),
    ("roberta", "lasttoken"),
    ("bert-mlm", "max"),
    ("distilbert", "mean"),
    ("llama", None),
    ("llama", "lasttoken"),
]


@pytest.mark.trains
@pytest.mark.parametrize(("family", "mode"), CASES)
def test_pack_of_unlike_runs_equals_plain_peft_and_trainer_run_by_run(
    family: str, mode: str | None, bi: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = pooled_by(tiny(family, tiny_model, tmp_path / "model"), mode)
    recipes = unlike(replace(bi, model=model))
    outcomes = train_together(recipes, tmp_path / "ours")
    assert [outcome.pack_size for outcome in outcomes] == [4] * 4
    assert {outcome.head_params for outcome in outcomes} == {0}
    # All four of the first case; else those with the most layers.
    for number, one in enumerate(recipes if (family, mode) == CASES[0] else recipes[1:3]):
        assert_equal_to_plain(one, mode, tmp_path / "ours", tmp_path / f"plain-{number}")


@pytest.mark.trains
@pytest.mark.parametrize(
    "change",
    [
        {"task": Task(encoder="bi", loss="cosent")},
        {"lora": {"use_dora": True}},
        {"lora": {"bias": "lora_only"}},
    ],
    ids=["cosent", "dora", "bias"],
)
def test_other_losses_and_what_trains_alone_equal_plain_ones(
    change: dict[str, Any], bi: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny("bert", tiny_model, tmp_path / "model")
    task, lora = change.get("task", bi.task), replace(bi.lora, **change.get("lora", {}))
    one = replace(bi, model=model, task=task, lora=lora)
    train(one, tmp_path / "ours")
    assert_equal_to_plain(one, None, tmp_path / "ours", tmp_path / "plain")


@pytest.mark.trains
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_what_a_run_computes_depends_on_nobody_in_its_pack(
    family: str, bi: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model", dropout=0.1)
    recipes = companions(replace(bi, model=model))[:3]
    train_together(recipes, tmp_path / "together")
    train(recipes[2], tmp_path / "alone")
    found, alone = (predictions_of(recipes[2], tmp_path / k) for k in ("together", "alone"))
    assert np.allclose(found, alone, atol=1e-4)


@pytest.mark.trains
def test_checkpointing_changes_no_score(bi: Recipe, tiny_model: Path, tmp_path: Path) -> None:
    plain = replace(bi, model=tiny("bert", tiny_model, tmp_path / "model"))
    saving = replace(plain, trainer=replace(plain.trainer, activation_checkpointing=True))
    for one in (plain, saving):
        train(one, tmp_path)
    assert np.allclose(*(predictions_of(one, tmp_path) for one in (plain, saving)), atol=1e-4)


@pytest.mark.trains
def test_base_is_given_back_to_those_who_train_a_head(
    bi: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    cross = replace(bi, model=tiny("bert", tiny_model, tmp_path / "model"), task=Task())
    train(cross, tmp_path / "before")
    train(replace(cross, task=bi.task), tmp_path / "between")
    train(cross, tmp_path / "after")
    before, after = (predictions_of(cross, tmp_path / k) for k in ("before", "after"))
    assert np.array_equal(before, after)


@pytest.mark.long
@pytest.mark.parametrize("mode", [None, "cls", "lasttoken"])
def test_before_any_training_a_pair_scores_the_cosine_of_the_baseline(
    mode: str | None, bi: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    one = replace(bi, model=pooled_by(tiny("bert", tiny_model, tmp_path / "model"), mode))
    base, tokenizer = base_of(one, scratch=str(tmp_path)), load_tokenizer(one.model)
    dev = load_split(one.data, "dev")
    rows = splits(one.model, one.data, "bi").dev
    with PackedModel(base, [Run(0, {}, one), Run(1, {}, replace(one, lora=Lora(r=2)))]) as pack:
        found = ScoredSet(rows, Collator(tokenizer), 16).predictions(pack, base.device)
    vectors = [
        sentence_vectors(base.net.base_model, tokenizer, texts, pooling_of(one.model), max_length=8)
        for texts in (dev.text_a, dev.text_b)
    ]
    expected = cosines(*vectors)
    for row in found:
        assert np.allclose(row, expected, atol=1e-6)


def test_packs_hold_runs_of_one_encoder_and_one_loss(bi: Recipe) -> None:
    tasks = [Task(), Task(encoder="bi"), Task(encoder="bi", loss="cosent")]
    assert len({pack_key(replace(bi, task=task)) for task in tasks}) == 3


def test_pooler_and_head_are_no_part_of_a_bi_encoder(
    bi: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    everything = replace(bi.lora, target_modules="all-linear")
    one = replace(bi, model=tiny("bert", tiny_model, tmp_path / "model"), lora=everything)
    targets = targets_in(one)
    assert (targets.head, targets.head_params) == ((), 0)
    assert not any("pooler" in name for name in targets.names)
    assert len(targets.layers) == len(targets_in(replace(one, task=Task())).layers) - 1


def test_encoder_and_decoder_in_one_is_refused_with_a_way_out(bi: Recipe, tmp_path: Path) -> None:
    config = T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    T5Model(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"task\.encoder=cross"):
        targets_in(replace(bi, model=Model(path=str(tmp_path))))
