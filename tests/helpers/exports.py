"""Exported folders of random adapters on tiny models of several families: nothing is trained."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers as tf
from peft import PeftModel, get_peft_model

from odd_models import SMALL, SPECIALS, WORDS, decoder, words_tokenizer
from sweep.core.recipe import Data, Lora, Model, Recipe
from sweep.core.task import Encoder, Task
from sweep.data.pairs import load_split
from sweep.export.adapter import CardFacts, Export, export_run
from sweep.export.exported import predicted
from sweep.export.formats import Format
from sweep.export.verification import Verified, verify
from sweep.loop.trial import Outcome, Run, RunState
from sweep.lora.adapting import lora_config
from sweep.lora.heads import pooling_for
from sweep.lora.model import load_base, load_tokenizer
from sweep.study.files import RunFiles
from sweep.train.scores import scores

ONE = {**SMALL, "num_hidden_layers": 1, "vocab_size": len(WORDS) + len(SPECIALS)}
CONFIGS: dict[str, Any] = {
    "bert": tf.BertConfig(**ONE),
    "roberta": tf.RobertaConfig(**{**ONE, "type_vocab_size": 1, "max_position_embeddings": 66}),
    "distilbert": tf.DistilBertConfig(
        vocab_size=ONE["vocab_size"],
        dim=32,
        n_layers=1,
        n_heads=2,
        hidden_dim=48,
        pad_token_id=0,
        initializer_range=0.2,
    ),
    "electra": tf.ElectraConfig(**ONE, embedding_size=16),
    # A layer that looks everywhere, and one that looks near.
    "modernbert": tf.ModernBertConfig(
        **{**ONE, "num_hidden_layers": 2}, global_attn_every_n_layers=2, local_attention=8
    ),
}
#: Families whose base comes with a head of one output, as a `CrossEncoder` does.
WITH_HEAD = ("bert",)
MAX_LENGTH = 20


def texts(rows: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of one to 14 words: some are cut."""
    rng = random.Random(seed)
    sides = [" ".join(rng.choices(WORDS, k=rng.randint(1, 14))) for _ in range(2 * rows)]
    return list(zip(sides[::2], sides[1::2], strict=True))


def exported_family(
    place: Path, family: str, formats: tuple[Format, ...], *, encoder: Encoder = "cross"
) -> tuple[Path, Verified]:
    """The folder that `export` leaves of a random adapter, and what was verified."""
    base = _base(place / "base", family)
    data = _data(place)
    recipe = Recipe(
        model=Model(path=str(base)),
        data=data,
        lora=Lora(r=4, target_modules="all-linear"),
        task=Task(encoder=encoder),
    )
    kept = RunFiles(place / "run")
    _save_adapter(recipe, kept.adapter)
    pearson = _dev_pearson(recipe, kept.adapter)
    outcome = Outcome(RunState.COMPLETE, score=pearson, beside=pearson, best_step=1,
                      lora_params=1, head_params=1, train_seconds=1.0, pack_size=1)  # fmt: skip
    export = Export(Run(0, {}, recipe), outcome, study="s", kept=kept, to=place / "best",
                    versions={}, formats=formats)  # fmt: skip
    facts = CardFacts(None, None)
    return export.to, export_run(export, verifier=verify, findings=lambda: facts)


def _base(folder: Path, family: str) -> Path:
    folder.mkdir(parents=True)
    if family == "qwen3":
        return decoder(folder)
    words_tokenizer(folder)
    torch.manual_seed(0)
    config = copy.deepcopy(CONFIGS[family])
    kind: Any = tf.AutoModel
    if family in WITH_HEAD:
        config.num_labels, kind = 1, tf.AutoModelForSequenceClassification
    kind.from_config(config).save_pretrained(folder)
    return folder


def _data(place: Path) -> Data:
    for seed, split in enumerate(("train", "dev")):
        table = pd.DataFrame(texts(24, seed), columns=["sentence1", "sentence2"])
        shared = [len({*a.split()} & {*b.split()}) for a, b in texts(24, seed)]
        table.assign(score=[min(5, n) for n in shared]).to_csv(place / f"{split}.csv", index=False)
    files = {split: str(place / f"{split}.csv") for split in ("train", "dev")}
    return Data(source="files", max_length=MAX_LENGTH, label_range=(0.0, 5.0), **files)


def _save_adapter(recipe: Recipe, folder: Path) -> None:
    model, _ = load_base(recipe.model, load_tokenizer(recipe.model))
    torch.manual_seed(1)
    under = model if recipe.task.encoder == "cross" else model.base_model
    adapted = get_peft_model(under, lora_config(recipe))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(str(folder))


def _dev_pearson(recipe: Recipe, adapter: Path) -> float:
    """As PEFT alone has it."""
    tokenizer = load_tokenizer(recipe.model)
    base, _ = load_base(recipe.model, tokenizer)
    model = PeftModel.from_pretrained(
        base if recipe.task.encoder == "cross" else base.base_model, str(adapter)
    )
    dev = load_split(recipe.data, "dev")
    pooling = pooling_for(recipe.model, recipe.task.encoder)
    assert dev.labels is not None
    return scores(predicted(model, dev, tokenizer, recipe.data, pooling=pooling), dev.labels)[0]
