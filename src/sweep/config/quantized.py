"""Quantized bases: what can't be one is refused before anything is spent, and what is is told."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.core.errors import ConfigError, ModelError
from sweep.core.recipe import Recipe
from sweep.core.words import label_of
from sweep.lora.model import load_config, targets_in
from sweep.lora.packable import rewrites_base
from sweep.lora.quantization import check_quantization
from sweep.train.cost import base_bytes


def refuse_unquantizable(recipes: Sequence[Recipe]) -> None:
    """Refuse a quantization that can't be had, or that something else rules out.

    Raises:
        ModelError: its package is missing, or the checkpoint or its layers do not allow it.
        ConfigError: an initialisation would rewrite weights that are kept in few bits.
    """
    quantized = [recipe for recipe in recipes if recipe.model.quantization != "none"]
    for kind in dict.fromkeys(recipe.model.quantization for recipe in quantized):
        check_quantization(kind)
    for recipe in quantized:
        _check(recipe)


def _check(recipe: Recipe) -> None:
    model, lora = recipe.model, recipe.lora
    asked = f"model.quantization={model.quantization}"
    if getattr(load_config(model), "quantization_config", None) is not None:
        raise ModelError(
            f"`{asked}` needs a checkpoint in floating point.",
            value=f"{model.path} is quantized already",
            way_out="set `model.quantization=none`, or take the model that it was made of",
        )
    if targets_in(recipe).fan_in_fan_out:
        raise ModelError(
            f"`{asked}` needs a base of linear layers.",
            value=f"{model.path} has Conv1D layers",
            way_out="set `model.quantization=none`, or take a model of another family",
        )
    if lora.modules_to_save:
        raise ConfigError(
            "What is trained in full must be kept in floating point.",
            value=f"lora.modules_to_save={label_of(lora.modules_to_save)}, {asked}",
            way_out="set `model.quantization=none`, or `lora.modules_to_save=[]`",
        )
    if rewrites_base(lora):
        raise ConfigError(
            "An initialisation that rewrites the base needs it in floating point.",
            value=f"lora.init_lora_weights={lora.init_lora_weights}, {asked}",
            way_out="set `model.quantization=none`, or `lora.init_lora_weights=true`",
        )


def base_in_words(recipes: Sequence[Recipe]) -> list[str]:
    """A line for each quantized base: what it takes beside its float self."""
    one_each = {recipe.model: recipe for recipe in recipes if recipe.model.quantization != "none"}
    return [
        f"base   {model.path} in {model.quantization}: {base_bytes(recipe) / 1e6:,.1f} MB instead "
        f"of {base_bytes(recipe.in_float) / 1e6:,.1f} MB; the head is as it is"
        for model, recipe in one_each.items()
    ]
