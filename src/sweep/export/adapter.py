"""The adapter to take home: written, verified in a fresh process, used for predictions."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
)

from sweep.core.arrays import Floats
from sweep.core.errors import ExportError, VerificationError
from sweep.core.files import lost_or_damaged, replacing_folder, write_text
from sweep.core.recipe import Data, Recipe
from sweep.data.pairs import Pairs, in_label_units, load_split, load_unscored, tokenized
from sweep.export.model_card import model_card
from sweep.loop.trial import Outcome, Run
from sweep.lora.model import load_base, load_tokenizer
from sweep.study.yaml_file import read_mapping
from sweep.train.keeper import scores

#: Largest difference between the dev Pearson of a sweep in float32 and of the exported adapter.
TOLERANCE = 1e-4
#: What an exported folder holds; only such a folder is ever replaced.
_CONTENT = {"config.yaml", "adapter", "tokenizer", "metrics.json", "README.md", "merged"}
_AGAIN = "`python -m sweep export STUDY` writes it again"


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

    `final_scores` are on test or held-out pairs, where there are any; their `sentences` are shown.
    """

    asymmetry: Asymmetry
    final_scores: Mapping[str, Any] | None


@dataclass(frozen=True)
class Verified:
    """Dev Pearson as measured by the sweep and by the exported adapter."""

    measured: float
    reloaded: float


def export_run(
    run: Run,
    outcome: Outcome,
    *,
    study: str,
    run_dir: Path,
    to: Path,
    merge: bool,
    versions: Mapping[str, str],
    verifier: Callable[[Path], Verified],
    findings: Callable[[], CardFacts],
) -> Verified:
    """Write config, adapter, tokenizer, metrics and card to `to`, after verifying them.

    Args:
        verifier: Calls `verify` where nothing of this process can help.
        findings: For metrics and card. Asked for after the verification, beside which they may
            be made.

    Raises:
        ExportError: the run kept no adapter, or `to` holds something else.
        VerificationError: the reloaded adapter scores differently; `to` stays as it was.
    """
    if not (run_dir / "adapter").is_dir():
        raise ExportError("Only a run with an adapter can be exported.", value=f"none in {run_dir}")
    others = {p.name for p in to.iterdir()} - _CONTENT if to.is_dir() else set()
    if others:
        raise ExportError(
            "An export never writes into a folder that holds other things.",
            value=f"{to} holds {', '.join(sorted(others)[:5])}",
            way_out="name a new folder with `--to DIR`",
        )
    with replacing_folder(to) as folder:
        shutil.copytree(run_dir / "adapter", folder / "adapter")
        tokenizer = load_tokenizer(run.recipe.model)
        tokenizer.save_pretrained(str(folder / "tokenizer"))
        write_text(folder / "config.yaml", experiment_file(run.recipe, name=f"{study}_best"))
        metrics = _metrics(run, outcome, study=study, versions=versions)
        write_text(folder / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False))
        if merge:
            merged = load_adapted(folder, run.recipe, tokenizer).merge_and_unload()
            merged.save_pretrained(str(folder / "merged"))
            tokenizer.save_pretrained(str(folder / "merged"))
        verified, found = verifier(folder), findings()
        final = found.final_scores
        lines = [found.asymmetry.in_words(), *(final or {}).get("sentences", [])]
        card = model_card(
            run,
            outcome,
            study=study,
            versions=versions,
            notes=lines,
            is_tested=final is not None,
        )
        write_text(folder / "README.md", card)
        metrics["order_asymmetry"] = dataclasses.asdict(found.asymmetry)
        metrics["final_scores"] = final
        write_text(folder / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False))
        return verified


def experiment_file(recipe: Recipe, *, name: str) -> str:
    """A Hydra experiment that trains exactly this recipe again."""
    parts = _plain(dataclasses.asdict(recipe))
    seed = parts.pop("seed")
    content = {"name": name, **parts, "search": {"seeds": [seed], "space": {}}}
    body = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    intro = f"# Trains config {recipe.config_id} again: python -m sweep +experiment=THIS_FILE"
    return f"# @package _global_\n{intro}\n{body}"


def verify(folder: Path) -> Verified:
    """Score dev with the exported adapter (and the merged model) on a freshly loaded base.

    Raises:
        ExportError: the folder is not an exported one.
        VerificationError: the score differs by more than rounding explains.
    """
    recipe, measured = read_recipe(folder), _measured(folder)
    tokenizer = load_tokenizer(recipe.model)
    dev = load_split(recipe.data, "dev")
    assert dev.labels is not None
    models: list[torch.nn.Module] = [load_adapted(folder, recipe, tokenizer)]
    if (folder / "merged").is_dir():
        merged = AutoModelForSequenceClassification.from_pretrained(str(folder / "merged"))
        models.append(merged)
    tolerance = _tolerance(recipe, measured, rows=len(dev))
    for model in models:
        predictions = predicted(model, dev, tokenizer, recipe.data)
        reloaded, _ = scores(predictions, dev.labels)
        if not abs(reloaded - measured) <= tolerance:
            raise VerificationError(
                f"The exported adapter scores {reloaded:.6f} on dev, the sweep measured "
                f"{measured:.6f}: they must agree within {tolerance:g}. Folder: {folder}"
            )
    return Verified(measured, reloaded)


def verify_on(folder: Path, threads: int) -> Verified:
    """`verify` on so many threads."""
    torch.set_num_threads(threads)
    return verify(folder)


def _tolerance(recipe: Recipe, pearson: float, *, rows: int) -> float:
    """After bf16 the score's sampling error: it is reloaded in float32, as its users will.

    Rounding moves the score of a good model by 1e-4, that of one that has learned nothing by more.
    """
    if recipe.trainer.precision == "fp32":
        return TOLERANCE
    return max(TOLERANCE, (1 - pearson**2) / math.sqrt(rows - 1))


def predict(
    folder: Path, pairs_file: Path, columns: Mapping[str, Any], *, tell: Callable[[str], None]
) -> tuple[Pairs, Floats]:
    """Predicted scores `[N]` of the pairs of a file; its labels are optional.

    Args:
        columns: `text_a`, `text_b`, `label` where they differ from the training files'. A label
            that is named must be of use; another one is left out if it is not.
        tell: Hears that labels are left out, and why.

    Raises:
        ExportError: the folder is not an exported one.
        DataError: the file can't be read or lacks a column that is named.
    """
    recipe = read_recipe(folder)
    data = dataclasses.replace(recipe.data, source="files", **columns)
    pairs = load_unscored(pairs_file, data, tell=tell, needs_labels="label" in columns)
    tokenizer = load_tokenizer(recipe.model)
    model = load_adapted(folder, recipe, tokenizer)
    return pairs, predicted(model, pairs, tokenizer, data)


def read_recipe(folder: Path) -> Recipe:
    """The recipe of an exported folder.

    Raises:
        ExportError: it is none, or its settings lack some.
    """
    path = folder / "config.yaml"
    if not path.is_file() or not (folder / "adapter").is_dir():
        raise ExportError(
            "An exported folder holds `config.yaml` and `adapter/`.",
            value=f"{folder} does not",
            way_out="name the `best` folder of a study, e.g. results/lora_grid/best",
        )
    content = read_mapping(path)
    try:
        return Recipe.from_dict({**content, "seed": content["search"]["seeds"][0]})
    except (KeyError, TypeError, IndexError):
        raise ExportError(
            "`config.yaml` must name every setting of the run.",
            value=lost_or_damaged(path),
            way_out=_AGAIN,
        ) from None


def load_adapted(folder: Path, recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> PeftModel:
    """The adapter in `folder/adapter` on a freshly loaded base, in float32.

    Raises:
        ExportError: it is not whole, or of another base.
    """
    base, _ = load_base(recipe.model, tokenizer)
    path = folder / "adapter"
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers by an old name, which is not the user's concern.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            model = PeftModel.from_pretrained(base, str(path))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ExportError(
            "The adapter must be whole, and of the base that `config.yaml` names.",
            value=f"{path}: {str(error).splitlines()[0][:200]}",
            way_out=_AGAIN,
        ) from None
    assert isinstance(model, PeftModel)
    return model


def _measured(folder: Path) -> float:
    """Dev Pearson, as the sweep has measured it."""
    path = folder / "metrics.json"
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["pearson"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ExportError(
            "`metrics.json` says what the sweep has measured.",
            value=lost_or_damaged(path),
            way_out=_AGAIN,
        ) from None


@torch.inference_mode()
def predicted(
    model: torch.nn.Module,
    pairs: Pairs,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    *,
    batch_size: int = 64,
) -> Floats:
    """Scores `[N]` in the units of the labels."""
    model.eval()
    rows = tokenized(pairs, tokenizer, data)
    rows = rows.remove_columns([c for c in rows.column_names if c == "labels"])
    collate = DataCollatorWithPadding(tokenizer)
    # Pairs of like length share a batch: of shuffled ones, half can be padding.
    order = np.argsort([len(row) for row in rows["input_ids"]], kind="stable")
    logits = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        found = model(**collate([rows[int(place)] for place in places])).logits
        logits[places] = found.reshape(-1).double().numpy()
    return in_label_units(logits, data)


def _metrics(
    run: Run, outcome: Outcome, *, study: str, versions: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "study": study,
        "run_id": run.id,
        "trial": run.trial,
        "seed": run.recipe.seed,
        "pearson": outcome.pearson,
        "spearman": outcome.spearman,
        "best_step": outcome.best_step,
        "lora_params": outcome.lora_params,
        "head_params": outcome.head_params,
        "train_seconds": outcome.train_seconds,
        "evaluations": [dataclasses.asdict(e) for e in outcome.evaluations],
        "versions": dict(versions),
    }


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return [_plain(v) for v in content] if isinstance(content, (list, tuple)) else content
