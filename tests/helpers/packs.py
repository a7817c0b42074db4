"""Trains packs as a worker does, on tiny models of many families."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    LlamaConfig,
    LlamaModel,
    ModernBertConfig,
    ModernBertModel,
    RobertaConfig,
    RobertaModel,
)

from sweep.core.recipe import Model, Recipe
from sweep.core.trial import Event, Finished, Outcome, Run
from sweep.train.runs import train_pack

#: Family -> (config class, model class).
FAMILIES: dict[str, tuple[type, type]] = {
    "bert": (BertConfig, BertModel),
    "roberta": (RobertaConfig, RobertaModel),
    "electra": (ElectraConfig, ElectraModel),
    "distilbert": (DistilBertConfig, DistilBertModel),
    "deberta-v2": (DebertaV2Config, DebertaV2Model),
    "llama": (LlamaConfig, LlamaModel),
    "modernbert": (ModernBertConfig, ModernBertModel),
}


def tiny(family: str, tiny_model: Path, folder: Path, *, dropout: float = 0.0) -> Model:
    """A tiny random model of a family, saved with the tokenizer; all its dropouts have one rate."""
    kind, model = FAMILIES[family]
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
    )
    for name, value in vars(config).items():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, dropout)
    model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Model(path=str(folder))


def presets_of(recipe: Recipe) -> tuple[Any, Any, Any]:
    """A part of the attention, all of it, everything. ModernBERT has one layer for q, k and v."""
    if AutoConfig.from_pretrained(recipe.model.path).model_type == "modernbert":
        return ("Wqkv",), ("Wqkv", "attn.Wo"), "all-linear"
    return "qv", "attention", "all-linear"


def train_together(
    recipes: Sequence[Recipe], runs_dir: Path, events: list[Event] | None = None
) -> list[Outcome]:
    """Train a pack; each run's folder is named by its id."""
    sink: list[Event] = [] if events is None else events
    runs = tuple(Run(number, {}, recipe) for number, recipe in enumerate(recipes))
    for run in runs:
        (runs_dir / run.id).mkdir(parents=True, exist_ok=True)
    train_pack(runs, runs_dir, sink.append)
    outcomes = {e.run_id: e.outcome for e in sink if isinstance(e, Finished)}
    return [outcomes[run.id] for run in runs]


def train(recipe: Recipe, runs_dir: Path, events: list[Event] | None = None) -> Outcome:
    return train_together([recipe], runs_dir, events)[0]


def predictions_of(recipe: Recipe, runs_dir: Path) -> Any:
    return np.load(runs_dir / recipe.run_id / "predictions.npy")


def adapter_of(recipe: Recipe, runs_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(runs_dir / recipe.run_id / "adapter" / "adapter_model.safetensors")
