"""How much of its rank an adapter uses: the singular values of each layer's update."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.special import entr

from sweep.core.recipe import Lora

_FACTORS = re.compile(r"base_model\.model\.(?P<path>.+)\.lora_(?P<factor>[AB])\.weight")
#: A layer's number and what follows it, in the path of a module.
_LAYER = re.compile(r"\.(?P<layer>\d+)\.(?P<module>.+)")
#: Initialisations after which the update is not B A alone.
_REWRITES_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")


@dataclass(frozen=True)
class LayerUse:
    """One adapted module. `layer` is None outside of the numbered layers.

    `effective_rank` is between 1 and `rank`, None for an update of zero; `norm` is Frobenius'.
    """

    layer: int | None
    module: str
    rank: int
    effective_rank: float | None
    norm: float


def rank_use(adapter: Path, lora: Lora) -> list[LayerUse]:
    """Each layer of the adapter in a folder, in the order of their paths.

    Empty where the update is not scaling * B A: with DoRA, and where the base was rewritten.
    """
    start = str(lora.init_lora_weights).lower()
    if lora.use_dora or start.startswith(_REWRITES_BASE):
        return []
    factors: dict[str, dict[str, NDArray[np.float32]]] = defaultdict(dict)
    for name, tensor in load_file(adapter / "adapter_model.safetensors").items():
        if (found := _FACTORS.fullmatch(name)) is not None:
            factors[found["path"]][found["factor"]] = tensor
    return [_use(path, values) for path, values in _singular_values(factors, lora)]


def effective_rank(values: NDArray[np.float64]) -> float | None:
    """exp of the entropy of the normalised singular values `[R]`; None where all are zero.

    Source: Roy & Vetterli, "The effective rank: a measure of effective dimensionality" (2007).
    """
    total = values.sum()
    if not total > 0:
        return None
    return float(np.exp(entr(values / total).sum()))


def _singular_values(
    factors: Mapping[str, Mapping[str, NDArray[np.float32]]], lora: Lora
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Path and singular values `[R]` of scaling * B A, with A `[R, in]` and B `[out, R]`.

    With B = Q1 R1 and A^T = Q2 R2 they are those of R1 R2^T, which is `[R, R]`.
    """
    for path, parts in sorted(factors.items(), key=lambda item: _place(item[0])):
        outer = np.linalg.qr(parts["B"].astype(np.float64)).R
        inner = np.linalg.qr(parts["A"].astype(np.float64).T).R
        yield path, np.linalg.svdvals(lora.scaling_at(path) * outer @ inner.T)


def _use(path: str, values: NDArray[np.float64]) -> LayerUse:
    layer, module = _place(path)
    norm = float(np.linalg.norm(values))
    return LayerUse(
        layer if layer >= 0 else None, module, len(values), effective_rank(values), norm
    )


def _place(path: str) -> tuple[int, str]:
    """Number of the layer (-1 outside of them) and the module's path inside."""
    found = _LAYER.search(path)
    return (int(found["layer"]), found["module"]) if found else (-1, path)
