"""An exported folder, used: its recipe, its model, the scores that it gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from peft import PeftModel
from transformers import AutoTokenizer, DataCollatorWithPadding, PreTrainedTokenizerBase

from sweep.core.arrays import Floats
from sweep.core.errors import ExportError, ModelError
from sweep.core.files import lost_or_damaged
from sweep.core.recipe import Data, Model, Recipe
from sweep.data.pairs import Pairs, in_label_units, tokenized
from sweep.export.base_identity import base_in_words, base_weights
from sweep.export.merged import speaks_label_units
from sweep.lora.loading import SAFE, loading, without_old_names
from sweep.lora.model import load_base, weights_digest
from sweep.lora.pairing import refuse_without_words
from sweep.lora.sentence_vectors import (
    POOLING,
    SentencePooling,
    cosines,
    pooling_in,
    sentence_vectors,
)
from sweep.study.files import ExportedFiles
from sweep.study.yaml_file import read_mapping

AGAIN = "`python -m sweep export STUDY` writes it again"


def exported_pooling(folder: Path, recipe: Recipe) -> SentencePooling | None:
    """How an exported bi-encoder pools, as its folder says; None for a cross-encoder.

    Its base may lie at another place by now, under a name that says nothing of a prefix.

    Raises:
        ExportError: the folder does not say it any more.
    """
    if recipe.task.encoder == "cross":
        return None
    place = ExportedFiles(folder).adapter
    pooling = pooling_in(place)
    if not pooling.is_own:
        raise ExportError(
            "The folder of a bi-encoder says how its sentences are pooled.",
            value=lost_or_damaged(place / POOLING),
            way_out=AGAIN,
        )
    return pooling


def read_recipe(folder: Path) -> Recipe:
    """The recipe of an exported folder.

    Raises:
        ExportError: it is none, or its settings lack some.
    """
    files = ExportedFiles(folder)
    path = files.settings
    if not path.is_file() or not files.adapter.is_dir():
        raise ExportError(
            f"An exported folder holds `{path.name}` and `{files.adapter.name}/`.",
            value=f"{folder} does not",
            way_out="name the `best` folder of a study, e.g. results/lora_grid/best",
        )
    content = read_mapping(path)
    try:
        return Recipe.from_dict({**content, "seed": content["search"]["seeds"][0]})
    except (KeyError, TypeError, IndexError):
        raise ExportError(
            f"`{path.name}` must name every setting of the run.",
            value=lost_or_damaged(path),
            way_out=AGAIN,
        ) from None


def on_base(recipe: Recipe, folder: Path, base: str | None) -> Recipe:
    """The recipe of an exported folder with its base at another place; None leaves it as it is.

    Raises:
        ExportError: other weights lie there: scores would mean nothing, and nobody would see it.
    """
    return moved(recipe, base, known=base_weights(folder))


def moved(recipe: Recipe, base: str | None, *, known: str | None) -> Recipe:
    """A recipe with its base at another place, a folder or a name on the Hub.

    Args:
        known: Digest of the weights that it was trained on; a commit can't be told from files.

    Raises:
        ExportError: other weights lie there.
    """
    if base is None:
        return recipe
    model = dataclasses.replace(recipe.model, path=base, sha256=None)
    if not Path(base).expanduser().is_dir():
        return dataclasses.replace(recipe, model=model)
    digest, found = known or recipe.model.sha256, weights_digest(model)
    if digest is not None and len(digest) == len(found) and digest != found:
        raise ExportError(
            "The base must be the one that the adapter was trained on.",
            value=f"the weights in {base} have the SHA-256 {found[:12]}..., "
            f"those of the training {digest[:12]}...",
            way_out=f"bring {recipe.model.path} from where it was trained",
        )
    return dataclasses.replace(recipe, model=model)


def _wanted(folder: Path) -> str:
    known = base_in_words(folder)
    return f"it is {known}; " if known else ""


def load_adapted(folder: Path, recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> PeftModel:
    """The adapter of an exported folder on a freshly loaded base, in float32.

    Of a bi-encoder, the base is one without a head.

    Raises:
        ExportError: it is not whole, or of another base.
    """
    try:
        base, _ = load_base(recipe.model, tokenizer, classes=recipe.data.classes)
    except ModelError as error:
        raise ExportError(
            f"The base of the adapter must be at hand: {error.rule}",
            value=error.value,
            way_out=f"{_wanted(folder)}name where it lies, as a folder or on the Hub: "
            "--model PLACE",
        ) from None
    path = ExportedFiles(folder).adapter
    try:
        with without_old_names():
            under = base if recipe.task.encoder == "cross" else base.base_model
            model = PeftModel.from_pretrained(under, str(path))
    except MemoryError:
        raise
    # PEFT, torch and safetensors raise a dozen kinds for a file that is not whole.
    except Exception as error:
        raise ExportError(
            "The adapter must be whole, and of the base that its settings name.",
            value=f"{path}: {(str(error) or type(error).__name__).splitlines()[0][:200]}",
            way_out=AGAIN,
        ) from None
    assert isinstance(model, PeftModel)
    return model


def load_exported_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer as it was trained with: a separator that it was given is saved with it.

    Raises:
        ExportError: it is gone, or can't be loaded.
    """
    path = ExportedFiles(folder).tokenizer
    if not path.is_dir():
        raise ExportError(
            "An exported folder holds its tokenizer.", value=lost_or_damaged(path), way_out=AGAIN
        )
    try:
        with loading(Model(path=str(path)), "tokenizer"):
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(path), **SAFE)
        refuse_without_words(tokenizer, path=str(path))
    except ModelError as error:
        raise ExportError(error.rule, value=error.value, way_out=AGAIN) from None
    return tokenizer


def predicted(
    model: torch.nn.Module,
    pairs: Pairs,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    *,
    pooling: SentencePooling | None = None,
    batch_size: int = 64,
) -> Floats:
    """Scores `[N]` in the units of the labels, by the cosine where sentences are pooled; or numbers
    of classes."""
    if pooling is not None:
        return _by_cosine(model, pairs, tokenizer, data, pooling)
    return _scored(model, tokenized(pairs, tokenizer, data), tokenizer, data, batch_size)


@torch.inference_mode()
def _scored(
    model: torch.nn.Module,
    rows: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    batch_size: int = 64,
) -> Floats:
    model.eval()
    rows = rows.remove_columns([c for c in rows.column_names if c == "labels"])
    collate = DataCollatorWithPadding(tokenizer)
    # Pairs of like length share a batch: of shuffled ones, half can be padding.
    order = np.argsort([len(row) for row in rows["input_ids"]], kind="stable")
    answers = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = collate([rows[int(place)] for place in places])
        answers[places] = answers_to(batch, model, data)
    return answers


@torch.inference_mode()
def answers_to(batch: Mapping[str, Any], model: torch.nn.Module, data: Data) -> Floats:
    """Scores `[B]` of padded pairs in the units of the labels, or numbers of classes."""
    found = model(**batch).logits
    return _numbers_of(found.argmax(-1) if data.classes else found.reshape(-1), model, data)


def shares_of(batch: Mapping[str, Any], model: torch.nn.Module, data: Data) -> Floats:
    """`[B, 1 + C]` of padded pairs: the number of the likeliest class, and the probability of each
    of the C classes; without classes, `answers_to` them."""
    if not data.classes:
        return answers_to(batch, model, data)
    found = model(**batch).logits.double()
    likeliest = _numbers_of(found.argmax(-1), model, data)
    return np.column_stack((likeliest, found.softmax(-1).numpy()))


def _numbers_of(answers: torch.Tensor, model: torch.nn.Module, data: Data) -> Floats:
    numbers: Floats = answers.double().numpy()
    return numbers if speaks_label_units(model) else in_label_units(numbers, data)


def _by_cosine(
    model: torch.nn.Module,
    pairs: Pairs,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    pooling: SentencePooling,
) -> Floats:
    one, other = (
        sentence_vectors(model, tokenizer, texts, pooling, max_length=data.max_length)
        for texts in (pairs.text_a, pairs.text_b)
    )
    return in_label_units(cosines(one, other), data)
