"""EVA (arXiv:2410.07170): A begins with the directions in which the inputs of a layer vary.

PEFT computes them from a few batches. Every layer keeps its rank (`rho=1`): EVA's own way of
dealing ranks out anew would make `lora.r` mean an average, and what a config costs would depend on
its data.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from peft import EvaConfig, get_eva_state_dict
from torch import Tensor

from sweep.core.errors import ConfigError
from sweep.core.recipe import Lora, Recipe
from sweep.loop.trial import Run
from sweep.lora.adapting import lora_config
from sweep.lora.base import Base
from sweep.lora.batches import Batch, Collator, TokenisedPairs, on_device
from sweep.lora.heads import head_of
from sweep.lora.model import targets_in
from sweep.lora.targets import ResolvedTargets

EVA = "eva"
#: A by the path of its layer, `[r, in]`.
Directions = Mapping[str, Tensor]
#: Batches that are looked at, and passes over them: most directions stay by then, as PEFT asks of
#: all of them. Those of large ranks are told apart by rounding, and would go on for hundreds.
_BATCHES, _MOST_PASSES = 8, 24
#: Cosine of a direction and itself a pass before from which it stays: PEFT's usual one.
_LIKE = 0.99
#: Directions of one base that are kept for the next packs: those of a few ranks or targets.
_KEPT = 4


def check_eva(targets: ResolvedTargets, lora: Lora) -> None:
    """Refuse ranks that EVA's approximation can't give.

    Raises:
        ConfigError: layers have ranks of their own, or a rank is above half of a layer's inputs.
    """
    if lora.init_lora_weights != EVA:
        return
    if lora.rank_pattern:
        raise ConfigError(
            "`lora.init_lora_weights=eva` needs one rank for all layers: PEFT gives those with the "
            "same input the same rank.",
            value=f"lora.rank_pattern={dict(lora.rank_pattern)}",
            way_out="set `lora.rank_pattern={}`, or `lora.init_lora_weights=true`",
        )
    narrow = min(targets.layers, key=lambda layer: layer.in_features)
    if 2 * lora.r > narrow.in_features:
        raise ConfigError(
            "`lora.init_lora_weights=eva` needs a rank of at most half of a layer's inputs.",
            value=f"r {lora.r}; {narrow.name} has {narrow.in_features} inputs",
            way_out=f"take ranks up to {narrow.in_features // 2}, or `lora.init_lora_weights=true`",
        )


def directions_of(base: Base, runs: Sequence[Run], rows: TokenisedPairs) -> dict[str, Directions]:
    """What A of each layer begins with, by the id of each run that begins so; the same for the same
    recipe on the same rows.

    Args:
        base: Without adapters; it is left as it is.
        rows: Of train, of which the seed draws a few.

    Raises:
        ConfigError: there are too few rows.
    """
    by_run = {}
    for run in runs:
        recipe = run.recipe
        if recipe.lora.init_lora_weights != EVA:
            continue
        size = max(recipe.trainer.per_device_train_batch_size, 2 * recipe.lora.r)
        names = tuple(targets_in(recipe).names)
        kind = (recipe.seed, recipe.data, recipe.task.encoder, size, recipe.lora.r, names)
        if kind not in base.directions:
            base.directions[kind] = _directions(base, recipe, rows, size)
        by_run[run.id] = base.directions[kind]
    for old in list(base.directions)[:-_KEPT]:
        del base.directions[old]
    return by_run


def _directions(base: Base, recipe: Recipe, rows: TokenisedPairs, size: int) -> Directions:
    """`directions_of` one recipe, in batches of this size."""
    if len(rows) < size:
        raise ConfigError(
            "`lora.init_lora_weights=eva` needs twice as many train rows as ranks.",
            value=f"{len(rows)} rows, r {recipe.lora.r}",
            way_out="take more rows, a lower rank, or `lora.init_lora_weights=true`",
        )
    drawn = np.random.default_rng(recipe.seed).permutation(len(rows))[: _BATCHES * size].tolist()
    # The last ones may be too few for a batch.
    starts = range(0, len(drawn) - size + 1, size)
    collate = Collator(base.tokenizer)
    batches = [collate([rows[place] for place in drawn[at : at + size]]) for at in starts]
    net: Any = head_of(recipe, base.net).adapted
    # PEFT takes a tensor, too, where its types say a number.
    likeness: Any = torch.tensor(_LIKE)
    config = lora_config(recipe)
    config.eva_config = EvaConfig(rho=1.0, tau=likeness)
    found: Directions = get_eva_state_dict(
        net,
        [on_device(_inputs(net, batch), base.device) for batch in batches],
        config,
        forward_fn=_Passes(likeness),
        prepare_model_inputs_fn=_mask,
        prepare_layer_inputs_fn=_tokens,
        show_progress_bar=False,
    )
    return found


class _Passes:
    """Calls the model; after enough calls any likeness to the directions before will do.

    Args:
        likeness: One number, which PEFT holds each cosine against.
    """

    def __init__(self, likeness: Tensor) -> None:
        self._likeness, self._count = likeness, 0

    def __call__(self, model: Any, inputs: Batch) -> None:
        self._count += 1
        if self._count >= _MOST_PASSES:
            self._likeness.fill_(-1.0)
        model(**inputs)


def _inputs(net: Any, batch: Batch) -> Batch:
    # Of labels PEFT would make a mask.
    accepted = set(inspect.signature(net.forward).parameters) - {"labels"}
    return {name: column for name, column in batch.items() if name in accepted}


def _mask(inputs: Batch, _: object) -> Tensor:
    real: Tensor = inputs["attention_mask"].bool()
    return real


def _tokens(given: Any, mask: Tensor, _: str) -> Tensor:
    """Inputs of a layer `[N, in]` without padding; a pooler has one of each sequence."""
    x: Tensor = given if isinstance(given, Tensor) else given[0]
    own = x[mask] if x.shape[:-1] == mask.shape else x.reshape(-1, x.shape[-1])
    # PEFT looks at it as one row of numbers.
    in_a_row: Tensor = own.contiguous()
    return in_a_row
