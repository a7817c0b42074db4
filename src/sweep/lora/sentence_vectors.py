"""One vector a sentence: pooled as the model's own folder says.

A sentence encoder's folder has `modules.json`, `1_Pooling/config.json` and, for a prefix,
`config_sentence_transformers.json`; see sbert.net, "Structure of Sentence Transformer models".
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from sweep.core.arrays import Floats
from sweep.core.recipe import Model
from sweep.lora.model import locate

Pooled = Literal["mean", "cls", "max", "last"]
#: The keys of `1_Pooling/config.json`; the first that is true holds.
_MODES: dict[str, Pooled] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
#: What newer folders have under `pooling_mode`.
_NAMED: dict[str, Pooled] = {"mean": "mean", "cls": "cls", "max": "max", "lasttoken": "last"}
#: Names in a folder of sentence-transformers.
MODULES, POOLING, PROMPTS = (
    "modules.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
)
#: Modules of such a folder that are computed here, or that change no cosine.
_COMPUTED = ("Transformer", "Pooling", "Normalize")
#: Names of the E5 family, whose cards ask for a prefix that their folders do not hold.
_E5 = re.compile(r"(?:^|[-_/])e5(?:[-_/]|$)", re.IGNORECASE)
_BATCH = 64


@dataclass(frozen=True)
class SentencePooling:
    """How tokens become a vector. `is_own`: the model's folder says so; else it is a convention.

    `left_out` are further layers that the folder names, and that are not computed.
    """

    mode: Pooled = "mean"
    prefix: str = ""
    is_own: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """`mean of the tokens, prefix "query: "`."""
        parts = [f'prefix "{self.prefix}"'] if self.prefix else []
        parts += [f"without its {layer} layer" for layer in self.left_out]
        what = {
            "mean": "mean of the tokens",
            "cls": "first token",
            "max": "largest of the tokens",
            "last": "last token",
        }[self.mode]
        return ", ".join([what, *parts])


def pooling_of(model: Model) -> SentencePooling:
    """As the model's folder, or its copy in the local cache, says; the mean where neither does."""
    pooling = _pooling(lambda name: _read(_file_of(model, name)))
    if not pooling.prefix and _E5.search(model.hub_name or model.path):
        return replace(pooling, prefix="query: ")
    return pooling


def pooling_in(folder: Path) -> SentencePooling:
    """As an exported folder says, which holds all that there is to know."""
    return _pooling(lambda name: _read(folder / name))


def is_sentence_encoder(model: Model) -> bool:
    """Whether its folder, or its copy in the local cache, says how sentences are pooled."""
    files = (_file_of(model, name) for name in (MODULES, POOLING))
    return any(path is not None and path.is_file() for path in files)


def _pooling(read: Callable[[str], Any]) -> SentencePooling:
    """What the files of a folder say, as far as they are there."""
    pooling, own = (_mapping(read(name)) for name in (POOLING, PROMPTS))
    mode = next((mode for key, mode in _MODES.items() if pooling.get(key)), None)
    mode = _NAMED.get(str(pooling.get("pooling_mode")), mode)
    prompts, default = own.get("prompts") or {}, own.get("default_prompt_name")
    prefix = prompts.get(default, "") if default else ""
    modules = read(MODULES)
    kinds = [
        str(_mapping(module).get("type")).rpartition(".")[2]
        for module in (modules if isinstance(modules, list) else [])
    ]
    others = tuple(kind for kind in kinds if kind not in _COMPUTED)
    return SentencePooling(mode or "mean", prefix, is_own=mode is not None, left_out=others)


def _file_of(model: Model, name: str) -> Path | None:
    """Where a file of the model would lie; None where the Hub or the local cache has none."""
    place = locate(model.path)
    return Path(place) / name if Path(place).is_dir() else _on_hub(place, name, model.revision)


@functools.lru_cache(maxsize=64)
def _on_hub(place: str, name: str, revision: str | None) -> Path | None:
    """transformers brings what it needs itself into the cache, which these files are not."""
    found = huggingface_hub.try_to_load_from_cache(place, name, revision=revision)
    if found is None:
        with contextlib.suppress(OSError):
            found = huggingface_hub.hf_hub_download(place, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _read(path: Path | None) -> Any:
    """A JSON file; None where it is not there, or not to be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError):
        return None


def _mapping(content: Any) -> Mapping[str, Any]:
    return content if isinstance(content, dict) else {}


@torch.inference_mode()
def sentence_vectors(
    net: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pooling: SentencePooling,
    *,
    max_length: int,
) -> Floats:
    """Vectors `[N, D]` of sentences, each read alone.

    Args:
        net: The base without its head.
        max_length: Word pieces of a sentence, special tokens included; more are cut.
    """
    net.eval()
    prefixed = [f"{pooling.prefix}{text}" for text in texts]
    encoded = tokenizer(prefixed, truncation=True, max_length=max_length)
    order = np.argsort([len(ids) for ids in encoded["input_ids"]], kind="stable")
    vectors: list[Floats] = []
    for start in range(0, len(order), _BATCH):
        rows = [{k: encoded[k][i] for k in encoded} for i in order[start : start + _BATCH]]
        batch = dict(tokenizer.pad(rows, return_tensors="pt"))
        states = net(**batch).last_hidden_state.float()
        found = pooled(states, batch["attention_mask"].bool(), pooling.mode)
        vectors.append(found.double().numpy())
    joined = np.concatenate(vectors)
    return np.asarray(joined[np.argsort(order, kind="stable")], dtype=np.float64)


def pooled(states: Tensor, mask: Tensor, mode: Pooled) -> Tensor:
    """Vectors `[B, D]` of the states `[B, T, D]` of tokens; `mask` `[B, T]` tells padding."""
    return _POOLS[mode](states, mask)


def cosines(one: Floats, other: Floats) -> Floats:
    """Of vectors `[N, D]` with those of the same rows, `[N]`."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / np.maximum(norms, 1e-12), dtype=np.float64)


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def _first(states: Tensor, mask: Tensor) -> Tensor:
    return states[torch.arange(len(states), device=states.device), mask.int().argmax(dim=1)]


def _largest(states: Tensor, mask: Tensor) -> Tensor:
    return states.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)


def last_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """The state of each row's last token `[B, D]`, on whichever side the padding is."""
    rows, columns = (torch.arange(size, device=states.device) for size in states.shape[:2])
    return states[rows, columns.expand_as(mask).masked_fill(~mask, -1).argmax(dim=1)]


_POOLS: dict[Pooled, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": _mean,
    "cls": _first,
    "max": _largest,
    "last": last_tokens,
}
