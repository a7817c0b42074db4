"""The base model and what LoRA adapts in it: found, checked, loaded."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from peft import LoraConfig, TaskType
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from sweep.core.errors import ModelError
from sweep.core.files import as_on_disk
from sweep.core.recipe import Lora, Model, Recipe
from sweep.lora.anatomy import outline
from sweep.lora.targets import ResolvedTargets, resolve_targets

# A bar per loaded model would fill the workers' logs and break the live view.
hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

_PACKAGE = "package:"
_OFFLINE = (
    "without a network, point to a local folder: `model.path=/folder/with/config.json`; "
    "or run the offline default: `python -m sweep +experiment=lora_grid`"
)


def locate(path: str) -> str:
    """What `from_pretrained` takes: a local folder, or a Hub name as it is.

    Raises:
        ModelError: a package that is not installed, or a folder that holds no model.
    """
    if path.startswith(_PACKAGE):
        return str(_inside_package(path))
    folder = as_on_disk(Path(path).expanduser())
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ModelError(
            "A model folder must hold `config.json`.",
            value=f"{folder} holds {', '.join(sorted(p.name for p in folder.iterdir())[:8])}",
            way_out="point `model.path` to the folder that `save_pretrained` wrote",
        )
    return str(folder) if folder.is_dir() else path


def load_config(model: Model) -> PretrainedConfig:
    """The model's configuration for regression: one number out.

    Raises:
        ModelError: neither a folder here nor a model on the Hub or in its local cache.
    """
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            locate(model.path),
            revision=model.revision or "main",
            num_labels=1,
            problem_type="regression",
        )
        return config
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The model {model.path} must be a local folder, on the Hugging Face Hub, "
            "or in the local cache.",
            value=str(error).splitlines()[0][:200],
            way_out=_OFFLINE,
        ) from None


def load_tokenizer(model: Model) -> PreTrainedTokenizerBase:
    """The tokenizer, fit for the model; without a padding token (GPT-2) it pads with its end token.

    A BERT tokenizer numbers the sentences of a pair 0 and 1. A RoBERTa that was trained with one
    (klue/roberta-small) has a single such embedding, so that the 1 would lead nowhere.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            locate(model.path), revision=model.revision or "main"
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The tokenizer of {model.path} must be there.",
            value=str(error).splitlines()[0][:200],
            way_out=_OFFLINE,
        ) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if getattr(load_config(model), "type_vocab_size", 2) < 2:
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = names
        # Saved along, for those who load the exported one.
        tokenizer.init_kwargs["model_input_names"] = names
    return tokenizer


def weights_digest(model: Model) -> str:
    """SHA-256 of a local model's weights; for a Hub model its commit, where one is known.

    Raises:
        ModelError: `model.sha256` is set and differs.
    """
    located = Path(locate(model.path))
    if not located.is_dir():
        return _commit_on_hub(model) or "unknown"
    files = sorted(located.glob("*.safetensors")) or sorted(located.glob("*.bin"))
    if not files:
        raise ModelError("A model folder must hold weights (`model.safetensors`).", value=located)
    digests = [_sha256(file) for file in files]
    if model.sha256 is not None and digests != [model.sha256]:
        raise ModelError(
            "The weights must have the SHA-256 that `model.sha256` names.",
            value=f"{digests[0]} in {files[0]}",
            way_out="install or copy them again: the file was changed; "
            "if these are meant to be other weights, set `model.sha256=null model.hub_name=null`",
        )
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _commit_on_hub(model: Model) -> str | None:
    """Of a Hub model in the local cache, where loading its configuration has put it."""
    load_config(model)
    found = huggingface_hub.try_to_load_from_cache(
        model.path, "config.json", revision=model.revision or "main"
    )
    return Path(found).parent.name if isinstance(found, str) else None


def targets_of(model: Model, lora: Lora) -> ResolvedTargets:
    """The layers that a LoRA config adapts, found on a model without memory.

    Raises:
        TargetError: a name that matches nothing, or nothing to adapt.
    """
    return _targets(model, lora.target_modules, lora.layers_to_transform)


@functools.lru_cache(maxsize=64)
def _targets(
    model: Model, target_modules: str | tuple[str, ...], layers: int | tuple[int, ...] | None
) -> ResolvedTargets:
    net = outline(load_config(model))
    return resolve_targets(net, target_modules, layers=layers, lacking=_lacking(model))


@functools.lru_cache(maxsize=16)
def _lacking(model: Model) -> frozenset[str]:
    """Paths of the modules that the checkpoint has no weights for; none of them is read."""
    verbosity = hf_logging.get_verbosity()
    # It would warn of a new head, which every one here is.
    hf_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        _, missing = _loaded(model, load_config(model), device_map="meta")
    finally:
        hf_logging.set_verbosity(verbosity)
    return frozenset(name.rpartition(".")[0] for name in missing)


def lora_config(recipe: Recipe) -> LoraConfig:
    """What PEFT is told about a run: full paths of its layers, and its head."""
    targets = targets_of(recipe.model, recipe.lora)
    fields = dataclasses.asdict(recipe.lora)
    # PEFT compares it with names only, never with full paths: it is applied already.
    fields["layers_to_transform"] = None
    return LoraConfig(
        task_type=TaskType.SEQ_CLS,
        modules_to_save=list(targets.head),
        fan_in_fan_out=targets.fan_in_fan_out,
        **{**fields, "target_modules": targets.names},
    )


def load_base(
    model: Model, tokenizer: PreTrainedTokenizerBase
) -> tuple[PreTrainedModel, frozenset[str]]:
    """The pretrained base with a new head for one number, in float32.

    Returns:
        The model, and the names of the weights that are not pretrained.
    """
    config = load_config(model)
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    return _loaded(model, config)


def _loaded(
    model: Model, config: PretrainedConfig, **options: Any
) -> tuple[PreTrainedModel, frozenset[str]]:
    """`load_base` with more options for `from_pretrained`."""
    try:
        loaded, info = AutoModelForSequenceClassification.from_pretrained(
            locate(model.path),
            revision=model.revision or "main",
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            # A head of another size, as after training on three classes, is new here anyway.
            ignore_mismatched_sizes=True,
            **options,
        )
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"The weights of {model.path} must be there, and whole.",
            value=str(error).splitlines()[0][:200],
            way_out=_OFFLINE,
        ) from None
    assert isinstance(loaded, PreTrainedModel)
    other_sizes = {name for name, *_ in info["mismatched_keys"]}
    return loaded, frozenset({*info["missing_keys"], *other_sizes})


def _inside_package(path: str) -> Path:
    name, _, rest = path.removeprefix(_PACKAGE).partition("/")
    # `find_spec` of a top-level name does not import it.
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"The model {path} needs the Python package `{name}`.",
            way_out=f"pip install {name.replace('_', '-')}, or set `model.path` to a folder",
        )
    folder = Path(spec.origin).parent / rest
    if not (folder / "config.json").is_file():
        raise ModelError(f"The package `{name}` must hold a model.", value=f"none in {folder}")
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
