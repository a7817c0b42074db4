"""Which runs can share a pack, and why some train alone: decided before anything is loaded."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable

from sweep.core.fingerprint import fingerprint
from sweep.core.recipe import Lora, Model, Recipe
from sweep.lora.anatomy import outline
from sweep.lora.by_row import is_by_row
from sweep.lora.model import load_config, targets_in

#: Settings of the Trainer that each run of a pack has for itself.
_OWN = (
    "learning_rate",
    "weight_decay",
    "warmup_steps",
    "max_grad_norm",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
)
#: Initialisations that change nothing but the adapter.
_ADAPTER_ONLY = (True, False, "gaussian", "orthogonal", "eva")
#: Those that take their adapter out of the base below it, as `BatchedStarted` computes.
_OUT_OF_BASE = ("pissa", "olora")


def why_alone(recipe: Recipe) -> str | None:
    """Why a run shares a pack with no other, in a few words; None where it may."""
    if recipe.tuning == "full":
        return "full fine-tuning"
    if (reason := why_plain(recipe)) is not None:
        return reason
    return None if _is_by_row(recipe.model) else "a base with layers that see more than its rows"


def why_plain(recipe: Recipe) -> str | None:
    """What the batched layers can't compute, so that plain PEFT does; None where they can."""
    lora = recipe.lora
    if lora.bias != "none":
        return f"lora.bias={lora.bias}"
    if lora.modules_to_save:
        return "lora.modules_to_save"
    if rewrites_base(lora) and (lora.use_dora or not comes_out_of_base(lora)):
        return f"lora.init_lora_weights={lora.init_lora_weights}"
    if getattr(load_config(recipe.model), "quantization_config", None) is not None:
        return "a quantized base"
    if targets_in(recipe).fan_in_fan_out:
        return "Conv1D layers"
    return None


def rewrites_base(lora: Lora) -> bool:
    """Whether the initialisation changes the weights below the adapter."""
    return lora.init_lora_weights not in _ADAPTER_ONLY


def comes_out_of_base(lora: Lora) -> bool:
    """Whether the adapter begins as a part of the weights below it, which PEFT takes out there."""
    return lora.init_lora_weights in _OUT_OF_BASE


@functools.lru_cache(maxsize=16)
def _is_by_row(model: Model) -> bool:
    return is_by_row(outline(load_config(model)))


def pack_key(recipe: Recipe) -> str:
    """Runs with equal keys can be trained in one pack; a run that must be alone has its own.

    Equal are seed, model, data, task, all of the Trainer's settings but those in `_OWN`, and
    the layers: those of DoRA, PiSSA and OLoRA take more products than those of LoRA.
    """
    if why_alone(recipe) is not None:
        return recipe.run_id
    trainer = dataclasses.asdict(recipe.trainer)
    shared = {key: value for key, value in trainer.items() if key not in _OWN}
    parts = [dataclasses.asdict(part) for part in (recipe.model, recipe.data, recipe.task)]
    return fingerprint([recipe.seed, *parts, shared, layers_key(recipe)])


def layers_key(recipe: Recipe) -> str:
    """Which layers compute a run: those of one pack compute all of its runs."""
    if recipe.lora.use_dora:
        return "dora"
    return "started" if comes_out_of_base(recipe.lora) else "lora"


def layers_of(recipes: Iterable[Recipe]) -> str:
    """The `layers_key` of a pack.

    Raises:
        ValueError: its runs need several kinds.
    """
    kinds = {layers_key(recipe) for recipe in recipes}
    if len(kinds) > 1:
        raise ValueError(f"the runs of a pack must all be of one kind, not {sorted(kinds)}")
    return kinds.pop()
