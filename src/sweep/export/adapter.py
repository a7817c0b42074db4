"""The adapter to take home: written, and verified in a fresh process."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from sweep.core.errors import ExportError, VerificationError
from sweep.core.files import lost_or_damaged, replacing_folder, write_text
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.export.exported import (
    AGAIN,
    BASE_WEIGHTS,
    exported_pooling,
    load_adapted,
    load_exported_tokenizer,
    on_base,
    predicted,
    read_recipe,
)
from sweep.export.merged import load_merged, write_merged
from sweep.export.model_card import model_card
from sweep.export.sentence_folder import write_sentence_folder
from sweep.loop.trial import Outcome, Run
from sweep.lora.model import load_tokenizer, weights_digest
from sweep.lora.sentence_vectors import SentencePooling, pooling_in
from sweep.study.files import ExportedFiles, RunFiles
from sweep.study.final_scores import FinalScores
from sweep.train.scores import scores

#: Largest difference between the dev Pearson of a sweep in float32 and of the exported adapter.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Asymmetry:
    """What the order of the sentences does to the scores of dev.

    `mean_difference` is the mean of |score(a, b) - score(b, a)|, in the units of the labels, and
    `pearson_change` the Pearson of the swapped pairs minus that of the pairs.
    """

    mean_difference: float
    pearson_change: float

    def in_words(self) -> str:
        """One sentence."""
        return (
            f"Exchanging the two sentences moves a dev score by {self.mean_difference:.3f} on "
            f"average and dev Pearson by {self.pearson_change:+.4f}."
        )


@dataclass(frozen=True)
class CardFacts:
    """What is told of an exported adapter beside its verification.

    `final_scores` are on test or held-out pairs, where there are any; `effects` are sentences on
    what each setting did in the study, `guard` on the pairs that it was trained on, `baselines` on
    what the base scores without the adapter.
    """

    asymmetry: Asymmetry
    final_scores: FinalScores | None
    effects: tuple[str, ...] = ()
    guard: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verified:
    """Dev Pearson as measured by the sweep and by the exported adapter.

    `merged` is that of the merged model where it is another one: what was trained on a quantized
    base is merged into the float one.
    """

    measured: float
    reloaded: float
    merged: float | None = None

    def in_words(self, quantization: str) -> str:
        """What a merged model scores beside its adapter; empty where that is the same."""
        if self.merged is None:
            return ""
        return (
            f"Merged into the float base it scores {self.merged:.4f} on dev, on the "
            f"{quantization} base that it was trained on {self.reloaded:.4f}."
        )


@dataclass(frozen=True)
class Export:
    """What is to be exported: a complete run of a study, and where to."""

    run: Run
    outcome: Outcome
    study: str
    kept: RunFiles
    to: Path
    merge: bool
    versions: Mapping[str, str]


def export_run(
    export: Export,
    *,
    verifier: Callable[[Path], Verified],
    findings: Callable[[], CardFacts],
) -> Verified:
    """Write config, adapter, tokenizer, metrics and card, after verifying them.

    Args:
        verifier: Calls `verify` where nothing of this process can help.
        findings: For metrics and card. Asked for after the verification, beside which they may
            be made.

    Raises:
        ExportError: the run kept no adapter, or the folder holds something else.
        VerificationError: the reloaded adapter scores differently; the folder stays as it was.
    """
    _refuse_to_overwrite(export)
    with replacing_folder(export.to) as folder:
        files = ExportedFiles(folder)
        _write_model(export, files)
        metrics = _metrics(export)
        _write_json(files.metrics, metrics)
        verified, found = verifier(folder), findings()
        write_text(files.card, _card(export, found, verified))
        final = found.final_scores
        if verified.merged is not None:
            metrics["pearson_merged_into_float"] = verified.merged
        metrics["order_asymmetry"] = dataclasses.asdict(found.asymmetry)
        metrics["final_scores"] = final.to_json() if final else None
        _write_json(files.metrics, metrics)
        return verified


def _refuse_to_overwrite(export: Export) -> None:
    if not export.kept.adapter.is_dir():
        raise ExportError(
            "Only a run with an adapter can be exported.", value=f"none in {export.kept.folder}"
        )
    to = ExportedFiles(export.to)
    others = {p.name for p in to.folder.iterdir()} - to.names if to.folder.is_dir() else set()
    if others:
        raise ExportError(
            "An export never writes into a folder that holds other things.",
            value=f"{to.folder} holds {', '.join(sorted(others)[:5])}",
            way_out="name a new folder with `--to DIR`",
        )


def _write_model(export: Export, files: ExportedFiles) -> None:
    recipe = export.run.recipe
    shutil.copytree(export.kept.adapter, files.adapter)
    tokenizer = load_tokenizer(recipe.model)
    tokenizer.save_pretrained(str(files.tokenizer))
    write_text(files.settings, experiment_file(recipe, name=f"{export.study}_best"))
    if export.merge:
        # Into a quantized base it would be rounded once more.
        merged: Any = load_adapted(files.folder, recipe.in_float, tokenizer).merge_and_unload()
        if recipe.task.encoder == "cross":
            write_merged(merged, tokenizer, files.merged, recipe.data)
        else:
            merged.save_pretrained(str(files.merged))
    if recipe.task.encoder == "bi":
        for folder in filter(Path.is_dir, (files.adapter, files.merged)):
            write_sentence_folder(folder, tokenizer, recipe)


def _card(export: Export, found: CardFacts, verified: Verified) -> str:
    final = found.final_scores
    apart = verified.in_words(export.run.recipe.model.quantization)
    return model_card(
        export.run,
        export.outcome,
        study=export.study,
        versions=export.versions,
        notes=[
            *found.baselines,
            *([apart] if apart else []),
            found.asymmetry.in_words(),
            *(final.lines if final else []),
        ],
        effects=found.effects,
        guard=found.guard,
        is_tested=final is not None,
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False))


def experiment_file(recipe: Recipe, *, name: str) -> str:
    """A Hydra experiment that trains exactly this recipe again."""
    parts = _plain(dataclasses.asdict(recipe))
    seed = parts.pop("seed")
    # Adapters are exported, and nothing else.
    del parts["tuning"]
    content = {"name": name, **parts, "search": {"seeds": [seed], "space": {}}}
    body = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    intro = f"# Trains config {recipe.config_id} again: python -m sweep +experiment=THIS_FILE"
    return f"# @package _global_\n{intro}\n{body}"


def verify(folder: Path, *, base: str | None = None) -> Verified:
    """Score dev with the exported adapter (and the merged model) on a freshly loaded base.

    Args:
        base: Where the base model lies, if not where it was at the training.

    Raises:
        ExportError: the folder is not an exported one.
        VerificationError: the score differs by more than rounding explains.
    """
    recipe, measured = on_base(read_recipe(folder), folder, base), measured_pearson(folder)
    tokenizer = load_exported_tokenizer(folder)
    dev = load_split(recipe.data, "dev")
    assert dev.labels is not None
    pooling = exported_pooling(folder, recipe)

    def score(model: torch.nn.Module, pooled: SentencePooling | None) -> float:
        predictions = predicted(model, dev, tokenizer, recipe.data, pooling=pooled)
        return scores(predictions, dev.labels)[0]

    def adapted(on: Recipe) -> float:
        return score(load_adapted(folder, on, tokenizer), pooling)

    tolerance = score_tolerance(recipe, measured, rows=len(dev))
    reloaded = _agreed(adapted(recipe), measured, tolerance, folder)
    merged = ExportedFiles(folder).merged
    if not merged.is_dir():
        return Verified(measured, reloaded)
    found = score(load_merged(merged, recipe.task.encoder), pooling and pooling_in(merged))
    if recipe.in_float == recipe:
        return Verified(measured, _agreed(found, measured, tolerance, folder))
    return Verified(
        measured, reloaded, _agreed(found, adapted(recipe.in_float), TOLERANCE, folder)
    )


def _agreed(found: float, expected: float, tolerance: float, folder: Path) -> float:
    if not abs(found - expected) <= tolerance:
        raise VerificationError(
            f"The exported adapter scores {found:.6f} on dev, the sweep measured "
            f"{expected:.6f}: they must agree within {tolerance:g}. Folder: {folder}"
        )
    return found


def verify_on(folder: Path, threads: int) -> Verified:
    """`verify` on so many threads."""
    torch.set_num_threads(threads)
    return verify(folder)


def score_tolerance(recipe: Recipe, pearson: float, *, rows: int) -> float:
    """After bf16 the score's sampling error: it is reloaded in float32, as its users will.

    Rounding moves the score of a good model by 1e-4, that of one that has learned nothing by more.
    """
    if recipe.trainer.precision == "fp32":
        return TOLERANCE
    return max(TOLERANCE, (1 - pearson**2) / math.sqrt(rows - 1))


def measured_pearson(folder: Path) -> float:
    """Dev Pearson, as the sweep has measured it."""
    path = ExportedFiles(folder).metrics
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["pearson"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ExportError(
            f"`{path.name}` says what the sweep has measured.",
            value=lost_or_damaged(path),
            way_out=AGAIN,
        ) from None


def _metrics(export: Export) -> dict[str, Any]:
    run, outcome = export.run, export.outcome
    return {
        "study": export.study,
        "run_id": run.id,
        "trial": run.trial,
        "seed": run.recipe.seed,
        "pearson": outcome.pearson,
        "spearman": outcome.spearman,
        "best_step": outcome.best_step,
        "pack_size": outcome.pack_size,
        "lora_params": outcome.lora_params,
        "head_params": outcome.head_params,
        "train_seconds": outcome.train_seconds,
        "evaluations": [dataclasses.asdict(e) for e in outcome.evaluations],
        BASE_WEIGHTS: weights_digest(run.recipe.model),
        "versions": dict(export.versions),
    }


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return [_plain(v) for v in content] if isinstance(content, (list, tuple)) else content
