"""Adapters of runs on a base, and what PEFT is told about each: layers, head, and what else is
trained in full."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from peft import EvaConfig, LoraConfig, PeftModel, TaskType, get_peft_model
from torch import nn

from sweep.core.errors import TargetError
from sweep.core.recipe import Recipe
from sweep.loop.trial import Run
from sweep.lora.anatomy import is_part_of, outline
from sweep.lora.model import load_config, targets_in
from sweep.lora.roles import fits
from sweep.lora.starts import Starts, given_back
from sweep.lora.targets import ResolvedTargets


def add_adapters(
    net: nn.Module,
    adapted: nn.Module,
    runs: Sequence[Run],
    draw_head: Callable[[int], None],
    *,
    kind: str | None,
) -> tuple[PeftModel, Starts]:
    """Every run's head and adapter, drawn from the seed as if it were alone.

    Args:
        net: The base; `adapted` is the part of it that adapters are put on.
        kind: The `layers_key` of the runs, None where PEFT's own layers compute; where they are
            `started`, the base stays as it is, and what each has taken out of it is given beside.
    """
    draw_head(runs[0].recipe.seed)
    after_head = torch.get_rng_state()
    model: PeftModel | None = None
    starts: Starts = {}
    for run in runs:
        torch.set_rng_state(after_head)
        config = lora_config(run.recipe)
        layers = [layer.name for layer in targets_in(run.recipe).layers]
        keeping = given_back(net, layers, run.id, starts) if kind == "started" else nullcontext()
        with keeping:
            if model is None:
                wrapped = get_peft_model(adapted, config, adapter_name=run.id)
                assert isinstance(wrapped, PeftModel)
                model = wrapped
            else:
                model.add_adapter(run.id, config)
        # Where the adapter says its base is: a name that others can load, no path from here.
        name = run.recipe.model.hub_name or run.recipe.model.path
        model.peft_config[run.id].base_model_name_or_path = name
    assert model is not None
    return model, starts


def lora_config(recipe: Recipe) -> LoraConfig:
    """Full paths of a run's layers, of its head, and of the modules that it trains beside.

    Raises:
        TargetError: `lora.modules_to_save` names what can't be trained in full.
    """
    targets = targets_in(recipe)
    fields = dataclasses.asdict(recipe.lora)
    # PEFT compares it with names only, never with full paths: it is applied already.
    fields["layers_to_transform"] = None
    # The optimizer's.
    del fields["lr_ratio"]
    for name in ("rank_pattern", "alpha_pattern"):
        fields[name] = dict(fields[name])
    if recipe.lora.init_lora_weights == "eva":
        fields["eva_config"] = EvaConfig(rho=1.0)
    fields["modules_to_save"] = [*targets.head, *trained_in_full(recipe)] or None
    return LoraConfig(
        # Of a sequence classifier PEFT trains the head, asked or not.
        task_type=TaskType.SEQ_CLS if targets.head else TaskType.FEATURE_EXTRACTION,
        fan_in_fan_out=targets.fan_in_fan_out,
        **{**fields, "target_modules": targets.names},
    )


def trained_in_full(recipe: Recipe) -> list[str]:
    """Paths of the modules that `lora.modules_to_save` means, as PEFT sees them.

    Raises:
        TargetError: a name that fits no module with weights of the base, a module with an adapter,
            or one that PEFT could not tell from another.
    """
    names = recipe.lora.modules_to_save
    if not names:
        return []
    targets, net = targets_in(recipe), outline(load_config(recipe.model))
    body = net.get_submodule(targets.inside) if targets.inside else net
    holders = [path for path in _with_weights(body) if not is_part_of(path, targets.head)]
    found: dict[str, None] = {}
    for name in names:
        hits = [path for path in holders if fits(path, name)]
        if not hits:
            raise _refusal(f"{name!r} fits none", holders)
        found |= dict.fromkeys(hits)
    _refuse_unclear([*found], holders, targets)
    return [*found]


def _with_weights(body: nn.Module) -> list[str]:
    """Paths of the modules that hold weights themselves."""
    modules = body.named_modules()
    return [path for path, module in modules if path and [*module.parameters(recurse=False)]]


def _refuse_unclear(found: Sequence[str], holders: Sequence[str], targets: ResolvedTargets) -> None:
    if both := [path for path in found if path in targets.names]:
        raise _refusal(f"{both[0]} has an adapter", holders)
    # PEFT takes every module whose path ends in these letters.
    twins = [path for path in holders if path not in found and path.endswith(tuple(found))]
    if twins:
        raise _refusal(f"PEFT would take {twins[0]} as well", holders)


def _refusal(value: str, holders: Sequence[str]) -> TargetError:
    endings = dict.fromkeys(path.rpartition(".")[2] for path in holders)
    return TargetError(
        "every name in lora.modules_to_save must fit a module of the base that holds weights, "
        "without an adapter",
        value=value,
        way_out=f"names that are there: {', '.join(endings)}",
    )
