"""Base and adapter as one model, which scores in the units of the labels wherever it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from sweep.core.recipe import Data, Model
from sweep.core.task import Encoder
from sweep.lora.loading import SAFE, loading

#: Where sentence-transformers looks for what comes after the model; without it, a `CrossEncoder`
#: with one output puts a sigmoid there.
_AFTERWARDS = "sentence_transformers"
_IDENTITY = {"activation_fn": "torch.nn.modules.linear.Identity"}
#: Our own word in the configuration: the outputs are scores. A base may have the other one, too.
_MARK = "sweep_outputs"


def write_merged(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, data: Data
) -> None:
    """Save a merged model that `CrossEncoder(folder)` and `pipeline` take without arguments.

    Of classes it knows the names. The scale of scores goes into the last layer of the head, where
    that has a bias or the scale begins at 0; elsewhere the model's outputs stay within [0, 1].
    Pairs are cut as in the training.
    """
    if data.classes is None:
        setattr(model.config, _AFTERWARDS, _IDENTITY)
    if data.classes is None and _scale_head(model, data):
        setattr(model.config, _MARK, "label units")
    model.save_pretrained(str(folder))
    save_tokenizer(tokenizer, folder, data.max_length)


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path, max_length: int) -> None:
    """Beside a model or adapter: who loads both cuts pairs as in the training."""
    before = tokenizer.model_max_length
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(str(folder))
    tokenizer.model_max_length = before


def load_merged(folder: Path, encoder: Encoder = "cross") -> nn.Module:
    """What was saved of a merged model: with its head, or of a bi-encoder without.

    Raises:
        ModelError: it is not whole.
    """
    kind: Any = AutoModelForSequenceClassification if encoder == "cross" else AutoModel
    with loading(Model(path=str(folder)), "weights"):
        merged: nn.Module = kind.from_pretrained(str(folder), weights_only=True, **SAFE)
    return merged


def speaks_label_units(model: nn.Module) -> bool:
    """Whether the outputs are scores already: of a merged model, whose head has the scale."""
    return hasattr(getattr(model, "config", None), _MARK)


@torch.no_grad()
def _scale_head(model: PreTrainedModel, data: Data) -> bool:
    """Have the last layer of the head give scores in the labels' units; False where it can't."""
    low, high = data.label_range
    ends = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 1]
    last: Any = ends[-1] if ends else None
    if last is None or (last.bias is None and low != 0):
        return False
    last.weight.mul_(high - low)
    if last.bias is not None:
        last.bias.mul_(high - low).add_(low)
    return True
