"""A tiny random model of each family with its tokenizer, three unlike runs, and plain PEFT."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from peft import LoraConfig, PeftModel, get_peft_model

from families import CONFIGS
from odd_models import SPECIALS, words_tokenizer, write_pairs
from packs import train, train_together
from sweep.core.recipe import Data, Lora, Model, Recipe, Trainer
from sweep.data.pairs import load_split
from sweep.export.adapter import Asymmetry, CardFacts, Export, Verified, export_run
from sweep.loop.trial import Run
from sweep.lora.model import load_tokenizer, targets_in
from sweep.lora.packable import why_alone
from sweep.study.files import RunFiles

#: Families whose runs train alone, and why.
ALONE = {
    "deberta": "a base with layers that see more than its rows",
    "deberta-v2": "a base with layers that see more than its rows",
    "gpt2": "Conv1D layers",
}
#: Families whose head reads the last token: sides of the padding, and the token that pads.
DECODERS: dict[str, tuple[str, str | None]] = {
    "gpt2": ("left", None),
    "gpt_neox": ("right", None),
    "opt": ("left", "[PAD]"),
    "llama": ("right", None),
    "mistral": ("left", None),
    "qwen2": ("right", "[PAD]"),
    "qwen3": ("left", "[PAD]"),
    "gemma": ("left", "[PAD]"),
    "gemma2": ("left", "[PAD]"),
    "gemma3_text": ("right", "[PAD]"),
    "phi3": ("left", "<|end|>"),
}
STEPS, BATCH, LENGTH = 3, 8, 24
#: Which of the three is exported: all linear layers.
EXPORTED = 1


def made(family: str, folder: Path) -> Model:
    """The base, saved as its family is on the Hub: without head, a decoder's without padding."""
    config = copy.deepcopy(CONFIGS[family])
    if family in DECODERS:
        _save_tokenizer_of_decoder(family, folder)
        config.pad_token_id = None
    else:
        words_tokenizer(folder)
        # What BART's head reads.
        config.eos_token_id = SPECIALS.index("[SEP]")
    for name, value in vars(config).items():
        if ("dropout" in name or "pdrop" in name) and isinstance(value, float):
            setattr(config, name, 0.0)
    # Small weights give nearly equal predictions, whose correlation is rounding.
    for name in ("initializer_range", "init_std"):
        if hasattr(config, name):
            setattr(config, name, 0.2)
    torch.manual_seed(0)
    tf.AutoModel.from_config(config).save_pretrained(folder)
    return Model(path=str(folder))


def _save_tokenizer_of_decoder(family: str, folder: Path) -> None:
    side, pad = DECODERS[family]
    named = {"pad_token": pad, "eos_token": "<|end|>", "padding_side": side}
    specials = ("[PAD]", "<|end|>", "[UNK]")
    if family != "qwen2":
        words_tokenizer(folder, specials=specials, pair=None, **named)
        return
    # transformers takes no other class for this family: letters and spaces, as bytes.
    signs = [*specials, *"w0123456789", "\u0120", "\u010a"]
    vocabulary = {sign: number for number, sign in enumerate(signs)}
    tf.Qwen2Tokenizer(vocab=vocabulary, merges=[], **named).save_pretrained(folder)


def write_splits(folder: Path) -> None:
    """Pairs in words of `odd_models`; every fourth is long enough to be cut."""
    write_pairs(folder / "train.jsonl", STEPS * BATCH, 0, longest=16)
    write_pairs(folder / "dev.jsonl", 12, 1, longest=16)


def unlike(model: Model, pairs: Path) -> list[Recipe]:
    """Three runs of one pack that differ in targets, rank, scaling, rate, decay and clipping."""
    files = {split: str(pairs / f"{split}.jsonl") for split in ("train", "dev")}
    data = Data(source="files", **files, max_length=LENGTH)
    trainer = Trainer(
        max_steps=STEPS,
        eval_strategy="steps",
        eval_steps=STEPS,
        per_device_train_batch_size=BATCH,
        train_sampling_strategy="sequential",
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0,
        precision="fp32",
    )
    lora = Lora(r=2, lora_alpha=4, lora_dropout=0.0)
    configs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"target_modules": "qv"}, {"learning_rate": 5e-3}),
        ({"target_modules": "all-linear", "r": 4}, {"learning_rate": 2e-3, "weight_decay": 0.1}),
        (
            {"target_modules": "attention", "r": 8, "use_rslora": True},
            {"learning_rate": 1e-2, "max_grad_norm": 0.05},
        ),
    ]
    return [
        Recipe(model, data, replace(lora, **own), replace(trainer, **rates))
        for own, rates in configs
    ]


def plain_peft(recipe: Recipe) -> tuple[Any, PeftModel]:
    """Dev scores `[N]` in the units of the labels, of a training that is written out by hand."""
    tokenizer, targets = load_tokenizer(recipe.model), targets_in(recipe)
    tf.set_seed(recipe.seed)
    base = tf.AutoModelForSequenceClassification.from_pretrained(
        recipe.model.path, num_labels=1, pad_token_id=tokenizer.pad_token_id
    )
    lora, trainer = recipe.lora, recipe.trainer
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=lora.r,
        lora_alpha=int(lora.lora_alpha),
        target_modules=targets.names,
        use_rslora=lora.use_rslora,
        modules_to_save=list(targets.head),
        fan_in_fan_out=targets.fan_in_fan_out,
    )
    model = get_peft_model(base, config)
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    spared = [p for name, p in trained if name.endswith("bias") or "norm" in name]
    decayed = [p for _, p in trained if not any(p is other for other in spared)]
    groups = [
        {"params": decayed, "weight_decay": trainer.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=trainer.learning_rate)
    pairs = {split: load_split(recipe.data, split) for split in ("train", "dev")}
    low, high = recipe.data.label_range

    def outputs(split: str, rows: slice) -> torch.Tensor:
        texts = (list(text[rows]) for text in (pairs[split].text_a, pairs[split].text_b))
        batch = tokenizer(
            *texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        return model(**batch).logits.squeeze(-1)

    model.train()
    for start in range(0, STEPS * BATCH, BATCH):
        rows = slice(start, start + BATCH)
        labels = (torch.tensor(pairs["train"].labels[rows]) - low) / (high - low)
        loss = torch.nn.functional.mse_loss(outputs("train", rows), labels.float())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in trained], trainer.max_grad_norm)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return low + (high - low) * outputs("dev", slice(None)).double().numpy(), model


def trained(recipes: Sequence[Recipe], folder: Path) -> None:
    """Train the runs into `runs/`, in a pack where they can share one; export one to `best/`."""
    runs_dir = folder / "runs"
    if why_alone(recipes[0]) is None:
        outcomes = train_together(recipes, runs_dir)
    else:
        outcomes = [train(recipe, runs_dir) for recipe in recipes]
    run, outcome = Run(0, {}, recipes[EXPORTED]), outcomes[EXPORTED]
    best, kept = folder / "best", RunFiles(runs_dir / run.id)
    assert outcome.score is not None
    # Reloading is what the tests are about.
    measured = Verified(outcome.score, outcome.score)
    export_run(
        Export(
            run, outcome, study="families", kept=kept, to=best, versions={}, formats=("merged",)
        ),
        verifier=lambda _: measured,
        findings=lambda: CardFacts(Asymmetry(0, 0), final_scores=None),
    )
    sizes = [one.pack_size for one in outcomes]
    (folder / "pack sizes.json").write_text(json.dumps(sizes), encoding="utf-8")
