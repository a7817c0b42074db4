"""Which base an export belongs to, wherever it lies by now: a path alone says it to nobody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.core.recipe import Model
from sweep.lora.model import load_config, weights_digest
from sweep.study.files import ExportedFiles

#: In `metrics.json`.
_WEIGHTS, _MODEL = "base_weights", "base_model"
_SIZES = {"num_hidden_layers": "layers", "hidden_size": "width", "vocab_size": "vocabulary"}


def base_identity(model: Model) -> dict[str, str]:
    """What `metrics.json` says of a base: its weights, its class and its size."""
    config = load_config(model)
    kind = next(iter(config.architectures or ()), type(config).__name__)
    sizes = [
        f"{word} {value:,}"
        for name, word in _SIZES.items()
        if isinstance(value := getattr(config, name, None), int)
    ]
    return {_WEIGHTS: weights_digest(model), _MODEL: ", ".join([kind, *sizes])}


def base_weights(folder: Path) -> str | None:
    """Digest of the weights that the adapter was trained on; older exports do not know it."""
    return _known(folder).get(_WEIGHTS)


def base_in_words(folder: Path) -> str:
    """`BertModel, layers 2, width 32, vocabulary 1,000, weights with the SHA-256 0123456789ab...`;
    of older exports, what they know of it."""
    return in_words(_known(folder))


def in_words(identity: Mapping[str, str]) -> str:
    """The same of what `base_identity` gives."""
    digest = identity.get(_WEIGHTS)
    weights = f"weights with the SHA-256 {digest[:12]}..." if digest else None
    return ", ".join(part for part in (identity.get(_MODEL), weights) if part)


def _known(folder: Path) -> dict[str, str]:
    try:
        content: Any = json.loads(ExportedFiles(folder).metrics.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {k: v for k in (_WEIGHTS, _MODEL) if isinstance(v := content.get(k), str)}
