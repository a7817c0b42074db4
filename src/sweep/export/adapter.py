"""The adapter to take home: written, and verified in a fresh process."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from peft.utils import CONFIG_NAME

from sweep.core.commands import command
from sweep.core.errors import ExportError
from sweep.core.files import links_out, replacing_folder, write_text
from sweep.core.recipe import Model, Recipe
from sweep.export.asymmetry import Asymmetry
from sweep.export.base_identity import base_identity, in_words
from sweep.export.cost_section import cost_section, note_costs
from sweep.export.format_table import format_json, format_section
from sweep.export.formats import Format, write_formats
from sweep.export.merged import save_tokenizer
from sweep.export.model_card import model_card
from sweep.export.sentence_folder import write_sentence_folder
from sweep.export.verification import Verified
from sweep.loop.trial import Outcome, Run
from sweep.lora.model import load_tokenizer
from sweep.study.files import ExportedFiles, RunFiles
from sweep.study.final_scores import FinalScores
from sweep.study.scoring_costs import ScoringCosts


@dataclass(frozen=True)
class CardFacts:
    """What is told of an exported adapter beside its verification.

    `final_scores` are on test or held-out pairs, where there are any; `effects` are sentences on
    what each setting did in the study, `guard` on the pairs that it was trained on, `baselines` on
    what the base scores without the adapter. `fingerprints` are of the pairs, by their split.
    """

    asymmetry: Asymmetry | None
    final_scores: FinalScores | None
    effects: tuple[str, ...] = ()
    guard: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """What is to be exported: a complete run of a study, and where to."""

    run: Run
    outcome: Outcome
    study: str
    kept: RunFiles
    to: Path
    versions: Mapping[str, str]
    #: Beside the adapter.
    formats: tuple[Format, ...] = ()
    #: The run's recipe with its base where it lies now; None where that is where it was.
    moved: Recipe | None = None

    @property
    def recipe(self) -> Recipe:
        """With its base where it lies now."""
        return self.moved or self.run.recipe


def export_run(
    export: Export,
    *,
    verifier: Callable[[Path], Verified],
    findings: Callable[[], CardFacts],
    costs: Callable[[Path], ScoringCosts | None] = lambda folder: None,
) -> Verified:
    """Write config, adapter, tokenizer, metrics and card, after verifying them.

    Args:
        verifier: Calls `verify` where nothing of this process can help.
        findings: For metrics and card. Asked for after the verification, beside which they may
            be made.
        costs: What its forms take, for metrics and card.

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
        metrics["formats"] = format_json(verified.formats)
        _write_json(files.metrics, metrics)
        taken = costs(folder)
        write_text(files.card, _card(export, found, verified, taken))
        if taken is not None:
            note_costs(files, taken)
        metrics |= _found_out(export, found, verified, taken)
        _write_json(files.metrics, metrics)
        return verified


def _refuse_to_overwrite(export: Export) -> None:
    if links := links_out(export.kept.adapter):
        raise ExportError(
            "The files of an adapter lie in its own folder: what a link leads to is not handed on.",
            value=links[0],
            way_out="take the link out, or bring the file back from a copy of the study",
        )
    if not export.kept.has_adapter:
        study = export.kept.folder.parent.parent
        raise ExportError(
            "Only a run with an adapter can be exported.",
            value=f"none in {export.kept.folder}; a study lets go of those that are not among its "
            "best (`executor.keep_adapters`)",
            way_out="train it again: "
            + command("export", study, "--run", export.run.id, "--retrain"),
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
    recipe = export.recipe
    shutil.copytree(export.kept.adapter, files.adapter)
    if export.moved is not None:
        _name_base(files.adapter / CONFIG_NAME, recipe.model)
    tokenizer = load_tokenizer(recipe.model, recipe.data.template)
    tokenizer.save_pretrained(str(files.tokenizer))
    write_text(files.settings, experiment_file(recipe, name=f"{export.study}_best"))
    if recipe.task.encoder == "bi":
        write_sentence_folder(files.adapter, tokenizer, recipe)
    else:
        save_tokenizer(tokenizer, files.adapter, recipe.data.max_length)
    write_formats(export.formats, files, recipe)
    if recipe.task.encoder == "bi" and files.merged.is_dir():
        write_sentence_folder(files.merged, tokenizer, recipe)


def _name_base(settings: Path, model: Model) -> None:
    """Where PEFT and transformers find the base."""
    content = json.loads(settings.read_text(encoding="utf-8"))
    content["base_model_name_or_path"] = model.hub_name or model.path
    _write_json(settings, content)


def _card(export: Export, found: CardFacts, verified: Verified, taken: ScoringCosts | None) -> str:
    final, metric = found.final_scores, export.run.recipe.task.measure
    apart = verified.in_words(export.run.recipe.model.quantization)
    return model_card(
        replace(export.run, recipe=export.recipe),
        export.outcome,
        study=export.study,
        versions=export.versions,
        notes=[
            f"The base is {in_words(base_identity(export.recipe.model))}.",
            *found.baselines,
            *([apart] if apart else []),
            *([found.asymmetry.in_words(metric)] if found.asymmetry else []),
            *(final.lines(metric) if final else []),
        ],
        effects=found.effects,
        guard=found.guard,
        final=final,
        fingerprints=found.fingerprints,
        warnings=[said for form in verified.formats if (said := form.warning)],
        forms=_forms(export, verified, taken),
    )


def _forms(export: Export, verified: Verified, taken: ScoringCosts | None) -> str:
    costs = taken.costs if taken else ()
    said = format_section(verified.formats, costs, is_bi=export.recipe.task.encoder == "bi")
    picture = ExportedFiles(export.to).picture.name
    return said + (cost_section(taken, picture) if taken else "")


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


def _metrics(export: Export) -> dict[str, Any]:
    run, outcome, metric = export.run, export.outcome, export.run.recipe.task.measure
    return {
        "study": export.study,
        "run_id": run.id,
        "trial": run.trial,
        "seed": run.recipe.seed,
        metric.name: outcome.score,
        metric.beside: outcome.beside,
        "best_step": outcome.best_step,
        "pack_size": outcome.pack_size,
        "lora_params": outcome.lora_params,
        "head_params": outcome.head_params,
        "train_seconds": outcome.train_seconds,
        "evaluations": [metric.in_files(dataclasses.asdict(e)) for e in outcome.evaluations],
        **base_identity(export.recipe.model),
        "versions": dict(export.versions),
    }


def _found_out(
    export: Export, found: CardFacts, verified: Verified, taken: ScoringCosts | None
) -> dict[str, Any]:
    """What is known after the verification."""
    final, metric, order = found.final_scores, export.recipe.task.measure, found.asymmetry
    merged = {f"{metric.name}_merged_into_float": verified.merged}
    return {
        **(merged if verified.merged is not None else {}),
        "order_asymmetry": order.to_json(metric) if order else None,
        "final_scores": final.to_json(metric) if final else None,
        "formats": format_json(verified.formats, taken.costs if taken else ()),
    }


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return [_plain(v) for v in content] if isinstance(content, (list, tuple)) else content
