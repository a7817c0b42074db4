"""Ranks and alphas of single layers, held against a model before anything trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sweep.core.errors import TargetError
from sweep.core.patterns import fits
from sweep.core.recipe import Lora
from sweep.lora.targets import ResolvedTargets, check_rank

#: Names that a refusal shows.
_SHOWN = 12


def layer_ranks(targets: ResolvedTargets, lora: Lora) -> tuple[int, ...]:
    """The rank of each adapted layer, in their order."""
    return tuple(map(lora.rank_at, targets.names))


def check_patterns(targets: ResolvedTargets, lora: Lora) -> None:
    """Refuse a key that means no adapted layer, two that mean one, and a rank that is too high.

    Raises:
        TargetError: names the key and the names there are, or layer and rank.
    """
    for name in ("rank_pattern", "alpha_pattern"):
        pattern: Mapping[str, float] = getattr(lora, name)
        for key in pattern:
            _refuse_idle(f"lora.{name}", key, targets.names)
        _refuse_shared(f"lora.{name}", pattern, targets.names)
    ranks = layer_ranks(targets, lora)
    for rank in dict.fromkeys(ranks):
        check_rank(targets.only(r == rank for r in ranks), rank)


def _refuse_idle(setting: str, key: str, paths: Collection[str]) -> None:
    if any(fits(key, path) for path in paths):
        return
    endings = list(dict.fromkeys(path.rpartition(".")[2] for path in paths))
    more = f" and {len(endings) - _SHOWN} more" if len(endings) > _SHOWN else ""
    raise TargetError(
        f"every key of {setting} must fit an adapted layer",
        value=f"{key!r} fits none",
        way_out=f"names that are there: {', '.join(endings[:_SHOWN])}{more}; a longer end of a "
        f"path, as {min(paths)!r} has it, means fewer layers",
    )


def _refuse_shared(setting: str, pattern: Mapping[str, float], paths: Collection[str]) -> None:
    """Which key is the first would decide, and no file keeps their order."""
    for path in paths:
        keys = [key for key in pattern if fits(key, path)]
        if len(keys) > 1:
            raise TargetError(
                f"each layer may be named by one key of {setting}",
                value=f"{path} is named by {' and '.join(map(repr, keys))}",
                way_out="write longer ends of paths, so that each key means other layers",
            )
