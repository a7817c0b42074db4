"""Trains packs as a worker does, on tiny models of many families."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DebertaConfig,
    DebertaModel,
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
    XLNetConfig,
    XLNetModel,
)

from sweep.core.recipe import Model, Recipe
from sweep.loop.trial import Event, Finished, Outcome, Run
from sweep.train.runs import train_pack

#: Family -> (config class, model class). What was trained on masked words has no pooler.
FAMILIES: dict[str, tuple[type, type]] = {
    "bert": (BertConfig, BertModel),
    "roberta": (RobertaConfig, RobertaModel),
    "electra": (ElectraConfig, ElectraModel),
    "distilbert": (DistilBertConfig, DistilBertModel),
    "deberta-v2": (DebertaV2Config, DebertaV2Model),
    "llama": (LlamaConfig, LlamaModel),
    "modernbert": (ModernBertConfig, ModernBertModel),
    "bert-mlm": (BertConfig, BertForMaskedLM),
    "albert-mlm": (AlbertConfig, AlbertForMaskedLM),
}
_RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
#: Families with layers that see something else than the rows of a batch, and how they are set up.
MIXED: dict[str, tuple[type, type, dict[str, Any]]] = {
    # As microsoft/deberta-v3-base has it.
    "relative deberta-v2": (
        DebertaV2Config,
        DebertaV2Model,
        {**_RELATIVE, "share_att_key": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm"},
    ),
    "relative deberta": (DebertaConfig, DebertaModel, {**_RELATIVE, "max_relative_positions": 16}),
    "xlnet": (XLNetConfig, XLNetModel, {}),
}


def tiny(family: str, tiny_model: Path, folder: Path, *, dropout: float = 0.0) -> Model:
    """A tiny random model of a family, saved with the tokenizer; all its dropouts have one rate."""
    kind, model, options = MIXED[family] if family in MIXED else (*FAMILIES[family], {})
    # XLNet reads the last token.
    side = "left" if family == "xlnet" else "right"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model, padding_side=side)
    sizes = {
        "hidden_size": 32,
        "embedding_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    if family == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    if family == "xlnet":
        sizes = {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}
    else:
        sizes["max_position_embeddings"] = 64
    torch.manual_seed(0)
    config = kind(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        # Small weights give nearly equal predictions, whose correlation is rounding.
        initializer_range=0.2,
        **sizes,
        **options,
    )
    for name, value in vars(config).items():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, dropout)
    model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Model(path=str(folder))


#: Layers of families without query and value projections of their own, for `presets_of`.
_NAMED = {
    "deberta": (("in_proj", "pos_q_proj"), ("in_proj", "pos_proj", "pos_q_proj")),
    "xlnet": (("layer_1",), ("layer_1", "layer_2")),
}


def presets_of(recipe: Recipe) -> tuple[Any, Any, Any]:
    """A part of the attention, all of it, everything."""
    family = AutoConfig.from_pretrained(recipe.model.path).model_type
    return (*_NAMED.get(family, ("qv", "attention")), "all-linear")


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
