"""Everything that can be checked before training is, in seconds and without memory."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.config import Settings
from sweep.core.recipe import Recipe
from sweep.core.statistics import Floats
from sweep.train.data import load_split
from sweep.train.model import load_tokenizer, targets_of, weights_digest
from sweep.train.targets import check_rank


@dataclass(frozen=True)
class Preflight:
    """What the checks have found out.

    `fingerprints` tell changed data or weights from the same; `facts` are lines for people.
    """

    dev_labels: Floats
    fingerprints: dict[str, str]
    facts: tuple[str, ...]


def preflight(settings: Settings) -> Preflight:
    """Check model, data and every config of a grid (or the corners of a space).

    Raises:
        UserMistake: the first thing that would have stopped the sweep later.
    """
    weights = weights_digest(settings.model)
    load_tokenizer(settings.model)
    train, dev = (load_split(settings.data, split) for split in ("train", "dev"))
    counts = sorted({_check_config(recipe) for recipe in _recipes(settings)})
    verified = f", SHA-256 {weights[:12]}… verified" if settings.model.sha256 else ""
    facts = (
        f"model  {settings.model.path}{verified}",
        f"data   {len(train):,} train and {len(dev):,} dev pairs: {train.origin}, {dev.origin}",
        f"LoRA   {' / '.join(f'{n:,}' for n in counts)} parameters beside the head",
    )
    fingerprints = {"weights": weights, "train": train.digest(), "dev": dev.digest()}
    assert dev.labels is not None
    return Preflight(dev.labels, fingerprints, facts)


def _recipes(settings: Settings) -> list[Recipe]:
    space = settings.space
    points = space.grid() if settings.search.sampler == "grid" else space.corners()
    return [settings.expand(point, seed=settings.search.seeds[0]) for point in points]


def _check_config(recipe: Recipe) -> int:
    targets = targets_of(recipe.model, recipe.lora)
    check_rank(targets, recipe.lora.r)
    return targets.lora_params(recipe.lora.r)
