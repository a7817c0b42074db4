"""A model of which the configuration is at hand and the weights are not, for a plan."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
from transformers import AutoModel

from sweep.core.recipe import Model
from sweep.lora.anatomy import outline
from sweep.lora.model import load_config, locate

#: Files of weights, whole or in parts.
_WEIGHTS = ("*.safetensors", "*.bin")
_BYTES = 4


@contextmanager
def standing_in(model: Model) -> Iterator[Model | None]:
    """The model with random weights, in a folder of its own; None where its own are to be had.

    What a plan says rests on shapes, not on numbers. None as well where the disk is too small.

    Raises:
        ModelError: the model's configuration is not to be had.
    """
    source = _without_weights(model)
    if source is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="sweep-plan-") as scratch:
        config = load_config(model)
        numbers = sum(weight.numel() for weight in outline(config).parameters())
        if numbers * _BYTES > shutil.disk_usage(scratch).free / 2:
            yield None
            return
        folder = Path(scratch).resolve() / "model"
        shutil.copytree(source, folder)
        build: Any = AutoModel.from_config  # not typed there
        build(config, trust_remote_code=False).save_pretrained(folder)
        # Its name may say how its sentences are read.
        name = model.hub_name or model.path
        yield replace(model, path=str(folder), revision=None, sha256=None, hub_name=name)


def _without_weights(model: Model) -> Path | None:
    """The folder with the configuration; None where there are weights, or may be on the Hub."""
    place = Path(locate(model.path))
    if not place.is_dir():
        if not huggingface_hub.constants.HF_HUB_OFFLINE:
            return None
        found = huggingface_hub.try_to_load_from_cache(
            model.path, "config.json", revision=model.revision or "main"
        )
        if not isinstance(found, str):
            return None
        place = Path(found).parent
    return None if any(any(place.glob(pattern)) for pattern in _WEIGHTS) else place
