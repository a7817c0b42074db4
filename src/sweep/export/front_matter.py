"""The top of a model card, for the Hub: the base, tags, and scores as its widget reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.constants import REPOCARD_NAME

from sweep.core.metric import Metric
from sweep.core.recipe import Data, Model, Recipe
from sweep.lora.model import locate
from sweep.study.final_scores import SPLIT_NAMES, FinalScores

#: Our metrics by the names that the Hub has for them.
_ON_HUB = {
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "macro_f1": "f1",
    "mcc": "matthews_correlation",
}
#: With an owner or without.
_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+", re.ASCII)


def front_matter(
    recipe: Recipe,
    score: float | None,
    *,
    study: str,
    library: str,
    tags: list[str],
    final: FinalScores | None,
) -> str:
    """YAML for the Hub, without its dashes.

    Args:
        score: On dev.
        final: On pairs that the search has not read, where there are any.
    """
    scored = [] if score is None else [("validation", "dev", score)]
    scored += [
        (one.split, SPLIT_NAMES[one.split], one.adapter.value)
        for one in (final.splits if final else ())
    ]
    content = ModelCardData(
        base_model=name_on_hub(recipe.model),
        library_name=library,
        tags=tags,
        model_name=study,
        eval_results=[_result(recipe, *one) for one in scored] or None,
    )
    return content.to_yaml()


def name_on_hub(model: Model) -> str | None:
    """What others find the base by; None where it is a folder of this machine."""
    name = model.hub_name or model.path
    is_folder = model.hub_name is None and Path(name).expanduser().exists()
    return name if _NAME.fullmatch(name) and not is_folder else None


def licence_of(model: Model) -> str | None:
    """The licence that the base's own card names, where that lies on this machine."""
    place = Path(locate(model.path))
    if not place.is_dir():
        if not _NAME.fullmatch(model.path):
            return None
        cached = huggingface_hub.try_to_load_from_cache(
            model.path, REPOCARD_NAME, revision=model.revision or "main"
        )
        if not isinstance(cached, str):
            return None
        place = Path(cached).parent
    try:
        content: Any = huggingface_hub.metadata_load(place / REPOCARD_NAME)
    # Somebody else's file: it may be missing, or no YAML.
    except Exception:
        return None
    if not isinstance(content, dict):
        return None
    found = content.get("license_name") or content.get("license")
    return found if isinstance(found, str) else None


def _result(recipe: Recipe, split: str, called: str, score: float) -> EvalResult:
    metric: Metric = recipe.task.measure
    of_classes = recipe.data.classes is not None
    kind, name = _data(recipe.data)
    return EvalResult(
        task_type="text-classification" if of_classes else "sentence-similarity",
        dataset_type=kind,
        dataset_name=name,
        dataset_config=recipe.data.name,
        dataset_split=split,
        metric_type=_ON_HUB.get(metric.name, metric.name),
        metric_value=round(score, 4),
        metric_name=f"{metric.word}, {called}",
    )


def _data(data: Data) -> tuple[str, str]:
    if data.source == "hub" and data.path:
        return data.path, data.path
    return ("generated", "generated pairs") if data.source == "demo" else ("own", "own files")
