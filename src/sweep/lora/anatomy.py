"""What a sequence classifier is made of: its base, its head, and the linear layers of the base.

The **head**, every module with parameters beside the pretrained base, is trained in full and never
adapted. The poolers of BERT and ALBERT (`bert.pooler.dense`, `albert.pooler`) are pretrained, hence
part of the base. A checkpoint of `BertForMaskedLM` has no pooler. What stands in its place is as
random as the classifier, hence part of the head: frozen and not saved, it would be another one at
each load.

torch and transformers are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.core.errors import ModelError, TargetError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

#: PEFT trains modules of these names in full in every sequence classifier, asked or not.
_PEFT_HEADS = ("classifier", "score")


@dataclass(frozen=True)
class TargetLayer:
    """One adapted layer; `name` is its full path in the sequence classifier."""

    name: str
    in_features: int
    out_features: int


@dataclass(frozen=True)
class Anatomy:
    """A model by path: the linear layers of its base, and the class name of every module.

    Where the model is `headless`, its `head` is what stands aside: neither adapted nor trained.
    """

    model_type: str
    prefix: str
    headless: bool
    head: tuple[str, ...]
    head_params: int
    linear: Mapping[str, TargetLayer]
    kinds: Mapping[str, str]

    def endings(self, parts: int) -> set[str]:
        """The last `parts` parts of the paths of the linear layers."""
        return {".".join(path.split(".")[-parts:]) for path in self.linear}


def dissect(model: PreTrainedModel, lacking: Collection[str], *, headless: bool = False) -> Anatomy:
    """The parts of a model whose checkpoint has no weights for the modules `lacking`.

    Args:
        headless: Only what the base makes of each token is used: poolers are not part of it.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    top = _head_of(model)
    head = top + _new_poolers(model, [path for path in lacking if not is_part_of(path, top)])
    if headless:
        poolers = [path for path, _ in model.named_modules() if path.endswith(".pooler")]
        head = (*top, *poolers)
    linear = {}
    for path, module in model.named_modules():
        if is_part_of(path, head):
            continue
        if isinstance(module, nn.Linear):
            linear[path] = TargetLayer(path, module.in_features, module.out_features)
        elif isinstance(module, Conv1D):
            linear[path] = TargetLayer(path, *module.weight.shape)
    return Anatomy(
        model_type=model.config.model_type,
        prefix=model.base_model_prefix,
        headless=headless,
        head=head,
        head_params=sum(w.numel() for name in head for w in model.get_submodule(name).parameters()),
        linear=linear,
        kinds={path: type(module).__name__ for path, module in model.named_modules() if path},
    )


def _head_of(model: PreTrainedModel) -> tuple[str, ...]:
    """Top-level modules of the head, refused unless PEFT can tell them from the base."""
    prefix = model.base_model_prefix
    children = [name for name, child in model.named_children() if [*child.parameters()]]
    head = tuple(name for name in children if name != prefix)
    # PEFT saves every module whose path merely ends in these letters, and a top-level name cannot
    # be made any longer: a twin in the base would be trained in full, too.
    base = [path for path, _ in model.named_modules() if path.startswith(f"{prefix}.")]
    twins = [path for path in base if path.endswith((*head, *_PEFT_HEADS))]
    if twins or not head or prefix not in children:
        clash = f"; in the base {', '.join(twins)}" if twins else ""
        raise TargetError(
            "the model must have a pretrained base and a head whose names end no path of the base",
            value=f"{model.config.model_type}: head {', '.join(head) or 'missing'}{clash}",
            way_out="choose a model of another family, such as BERT, RoBERTa or Llama",
        )
    return head


def _new_poolers(model: PreTrainedModel, lacking: Collection[str]) -> tuple[str, ...]:
    """What the checkpoint lacks of the base, refused unless all are layers of a pooler."""
    from torch import nn

    others = [
        path
        for path in lacking
        if "pooler" not in path.split(".") or type(model.get_submodule(path)) is not nn.Linear
    ]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        named = ", ".join(sorted(others)[:3])
        raise ModelError(
            "The checkpoint must hold all weights of the base: what it lacks would be random.",
            value=f"{model.config.name_or_path}: no weights for {named}{more}",
            way_out="save the model again from the class that it was trained with, all of it, or "
            "take another model",
        )
    return tuple(sorted(lacking))


def outline(config: PretrainedConfig) -> PreTrainedModel:
    """The sequence classifier of `config` without weights: its modules and shapes, no memory.

    Raises:
        ModelError: The model family has no sequence classifier, or not with these settings.
    """
    import torch
    import transformers

    if type(config) not in transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ModelError(
            "the model family must have a sequence classifier in transformers",
            value=config.model_type,
            way_out="choose an encoder such as BERT or RoBERTa, or a decoder such as Llama",
        )
    build: Any = transformers.AutoModelForSequenceClassification.from_config  # not typed there
    try:
        with torch.device("meta"):
            model: PreTrainedModel = build(config, trust_remote_code=False)
    # Whatever its family does with numbers that do not go together.
    except Exception as error:
        raise ModelError(
            "A model must be one that can be built from its configuration.",
            value=f"{config.name_or_path}: {str(error).splitlines()[0][:200]}",
            way_out="mend its `config.json`, or copy or save the model again",
        ) from None
    return model


def is_part_of(path: str, modules: Collection[str]) -> bool:
    """Whether a module or parameter is one of these modules, or in one."""
    return any(path == module or path.startswith(f"{module}.") for module in modules)
