"""The base model and what LoRA adapts in it: found, checked, loaded."""

from __future__ import annotations

import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
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
from sweep.core.task import Encoder
from sweep.lora.anatomy import outline
from sweep.lora.fit import reads_the_last_token
from sweep.lora.loading import SAFE, loading, refuse_kernels
from sweep.lora.pairing import Pairing, paired
from sweep.lora.quantization import prepare, quantizing
from sweep.lora.targets import ResolvedTargets, resolve_targets

# A bar per loaded model would fill the workers' logs and break the live view.
hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

_PACKAGE = "package:"
_CPU = torch.device("cpu")
#: Names of the classes that a model tells apart; None where it gives a score.
Classes = tuple[str, ...] | None


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


def load_config(model: Model, classes: Classes = None) -> PretrainedConfig:
    """The model's configuration for regression, one number out, or for these classes.

    Raises:
        ModelError: neither a folder here nor a model on the Hub or in its local cache; or one that
            comes with code of its own.
    """
    with loading(model, "configuration"):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            locate(model.path),
            revision=model.revision or "main",
            **_outputs(classes),
            **SAFE,
        )
    refuse_kernels(model, config._attn_implementation)
    return config


def _outputs(classes: Classes) -> dict[str, Any]:
    if classes is None:
        return {"num_labels": 1, "problem_type": "regression"}
    names = dict(enumerate(classes))
    places = {name: place for place, name in names.items()}
    kind = "single_label_classification"
    return {"id2label": names, "label2id": places, "problem_type": kind}


def load_tokenizer(model: Model, template: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer, fit for the model, as `load_pairing` says.

    Raises:
        ModelError: it can't be loaded, or can't pad.
    """
    return load_pairing(model, template).tokenizer


def load_pairing(model: Model, template: str | None = None) -> Pairing:
    """The tokenizer, and how it makes one sequence of two sentences.

    Args:
        template: `data.template`.

    Raises:
        ModelError: it can't be loaded, can't pad, or has no token for the template.
    """
    # A model that is not there, or comes with code, is told of as such.
    config = load_config(model)
    with loading(model, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            locate(model.path), revision=model.revision or "main", **SAFE
        )
    return paired(tokenizer, config, path=model.path, template=template)


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


def targets_of(
    model: Model, lora: Lora, encoder: Encoder = "cross", classes: Classes = None
) -> ResolvedTargets:
    """The layers that a LoRA config adapts, found on a model without memory.

    Raises:
        TargetError: a name that matches nothing, or nothing to adapt.
        ModelError: the model has no vector for each token of a sentence, as `bi` needs.
    """
    return _targets(model, lora.target_modules, lora.layers_to_transform, encoder, classes)


def targets_in(recipe: Recipe) -> ResolvedTargets:
    """`targets_of` a recipe."""
    return targets_of(recipe.model, recipe.lora, recipe.task.encoder, recipe.data.classes)


@functools.lru_cache(maxsize=64)
def _targets(
    model: Model,
    target_modules: str | tuple[str, ...],
    layers: int | tuple[int, ...] | None,
    encoder: Encoder,
    classes: Classes,
) -> ResolvedTargets:
    net = outline(load_config(model, classes))
    if encoder == "bi":
        _refuse_two_stacks(model, net.config)
    return resolve_targets(
        net,
        target_modules,
        layers=layers,
        lacking=_lacking(model, classes),
        headless=encoder == "bi",
    )


def _refuse_two_stacks(model: Model, config: PretrainedConfig) -> None:
    """BART and T5 read a sentence with one stack and write with another."""
    if config.is_encoder_decoder:
        raise ModelError(
            "`task.encoder=bi` needs a model with one vector for each token of a sentence.",
            value=f"{model.path} ({config.model_type}) is an encoder and a decoder",
            way_out="take an encoder, as BERT or RoBERTa, or a decoder, as Llama; or "
            "`task.encoder=cross`",
        )


@functools.lru_cache(maxsize=16)
def _lacking(model: Model, classes: Classes) -> frozenset[str]:
    """Paths of the modules that the checkpoint has no weights for; none of them is read."""
    verbosity = hf_logging.get_verbosity()
    # It would warn of a new head, which every one here is.
    hf_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        _, missing = _loaded(model, load_config(model, classes), device_map="meta")
    finally:
        hf_logging.set_verbosity(verbosity)
    return frozenset(name.rpartition(".")[0] for name in missing)


def load_base(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device = _CPU,
    classes: Classes = None,
) -> tuple[PreTrainedModel, frozenset[str]]:
    """The pretrained base with a new head for one number, or for these classes, in float32 or
    quantized.

    Args:
        device: Where a quantized base is put; another one is on the CPU.

    Returns:
        The model, and the names of the weights that are not pretrained.

    Raises:
        ModelError: it can't be loaded, or not be quantized.
    """
    config = load_config(model, classes)
    # A decoder's head reads the last token that is no padding, which only the tokenizer knows. An
    # encoder may count its positions from its own.
    if config.pad_token_id is None or reads_the_last_token(outline(config)):
        config.pad_token_id = tokenizer.pad_token_id
    if model.quantization == "none":
        return _loaded(model, config)
    head = targets_of(model, Lora(target_modules="all-linear"), classes=classes).head
    options = quantizing(model.quantization, head, device)
    net, missing = _loaded(model, config, **options)
    prepare(net, model.quantization)
    return net, missing


def _loaded(
    model: Model, config: PretrainedConfig, **options: Any
) -> tuple[PreTrainedModel, frozenset[str]]:
    """`load_base` with more options for `from_pretrained`."""
    with loading(model, "weights"):
        loaded, info = AutoModelForSequenceClassification.from_pretrained(
            locate(model.path),
            revision=model.revision or "main",
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            # A head of another size, as after training on three classes, is new here anyway.
            ignore_mismatched_sizes=True,
            weights_only=True,
            **SAFE,
            **options,
        )
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
