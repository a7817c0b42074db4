"""The model card of an exported adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.core.metric import KNOWN
from sweep.core.recipe import Lora, Recipe
from sweep.core.visible import visible
from sweep.export.card_texts import BI, CARD, CLASSES, LOADING, NAMED, ONE_NUMBER, PAIRS, SINGLE
from sweep.export.front_matter import front_matter, licence_of
from sweep.export.markdown import code_span, prose, python_text
from sweep.loop.trial import Outcome, Run
from sweep.lora.heads import pooling_for
from sweep.lora.model import targets_of
from sweep.study.files import ExportedFiles
from sweep.study.final_scores import FinalScores

_EXAMPLE_PAIR = '("A man is eating.", "Someone eats.")'
_EFFECTS = "What each setting did, in this study"
_PAIRS = "The pairs that it was trained on"
_UNTESTED = "Score held-out pairs before you rely on it."
_TESTED = "The score on pairs that the search has not read is below."


def model_card(
    run: Run,
    outcome: Outcome,
    *,
    study: str,
    versions: Mapping[str, str],
    notes: Sequence[str] = (),
    effects: Sequence[str] = (),
    guard: Sequence[str] = (),
    final: FinalScores | None = None,
    fingerprints: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    forms: str = "",
) -> str:
    """Markdown with scores, settings and a way to load the adapter.

    Args:
        notes: Sentences below the scores.
        effects, guard: Sentences on what each setting did, and on the pairs.
        final: Scores on pairs that the search has not read.
        fingerprints: Of the pairs, by the name of the split.
        warnings, forms: Of forms that lose too much, first of all; and a section on all forms.
    """
    recipe = run.recipe
    return CARD.format(
        **_placed(recipe),
        **_by_task(recipe),
        front=_front(recipe, outcome, study, final),
        study=code_span(study),
        data=_data(recipe),
        **_measured(run, outcome),
        advice=_TESTED if final is not None else _UNTESTED,
        notes="".join(f"\n- {prose(note)}" for note in notes),
        lists=_listed(_EFFECTS, effects) + _listed(_PAIRS, guard),
        warnings="".join(f"> **Warning.** {prose(said)}\n\n" for said in warnings),
        forms=forms,
        settings=_settings(recipe, outcome, fingerprints or {}),
        experiment=ExportedFiles(Path()).settings,
        versions=prose(", ".join(f"{name} {version}" for name, version in versions.items())),
    )


def _placed(recipe: Recipe) -> dict[str, Any]:
    """The base with its licence, and the scale of the scores."""
    low, high = recipe.data.label_range
    licence = licence_of(recipe.model)
    base = recipe.model.hub_name or recipe.model.path
    return {
        "base": code_span(base),
        "place": python_text(base),
        "licence": f", whose licence is {code_span(licence)}" if licence else "",
        "low": low,
        "high": high,
        "width": high - low,
    }


def _front(recipe: Recipe, outcome: Outcome, study: str, final: FinalScores | None) -> str:
    is_bi = recipe.task.encoder == "bi"
    return front_matter(
        recipe,
        outcome.score,
        study=visible(study),
        library="sentence-transformers" if is_bi else "peft",
        tags=["lora", *_tags(recipe)],
        final=final,
    )


def _by_task(recipe: Recipe) -> dict[str, str]:
    """What the adapter does, what a pair is scored by, and the lines that load it."""
    pooling, single = pooling_for(recipe.model, recipe.task.encoder), recipe.data.text_b is None
    return {
        "what": _answers(recipe, single=single),
        "rows": "rows" if single else "pairs",
        "by": "" if pooling is None else f", by the cosine of their vectors ({pooling.words})",
        "use": _use(recipe, pooled=pooling is not None, single=single),
    }


def _use(recipe: Recipe, *, pooled: bool, single: bool) -> str:
    """Lines of Python that load the adapter and score with it."""
    classes = recipe.data.classes
    values = {
        **_placed(recipe),
        **_quantized(recipe),
        "max_length": recipe.data.max_length,
        "example": '("A man is eating.",)' if single else _EXAMPLE_PAIR,
    }
    if pooled:
        return BI.format(**values)
    score = CLASSES if classes is not None else SINGLE if single else PAIRS
    return LOADING.format(
        **values,
        names="" if classes is None else f"\nclasses = {list(classes)}",
        outputs=ONE_NUMBER if classes is None else NAMED,
        score=score.format(**values),
    )


def _quantized(recipe: Recipe) -> dict[str, str]:
    """Lines that load a quantized base as it was trained on."""
    kind = recipe.model.quantization
    if kind == "none":
        return dict.fromkeys(("imports", "small", "model_kwargs"), "")
    head = list(targets_of(recipe.model, Lora(target_modules="all-linear")).head)
    made, imports = {
        "nf4": (
            'BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", '
            f"bnb_4bit_use_double_quant=True, llm_int8_skip_modules={head})",
            "from transformers import BitsAndBytesConfig\n",
        ),
        "int8": (
            f"TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert={head})",
            "from torchao.quantization import Int8WeightOnlyConfig\n"
            "from transformers import TorchAoConfig\n",
        ),
    }[kind]
    return {
        "imports": f"{imports}\nsmall = {made}\n",
        "small": ",\n    quantization_config=small",
        "model_kwargs": ', model_kwargs={"quantization_config": small}',
    }


def _answers(recipe: Recipe, *, single: bool) -> str:
    """What the adapter does."""
    if recipe.data.classes is not None:
        of = "a sentence is" if single else "two sentences are"
        return f"Tells which class {of} of: {prose(', '.join(recipe.data.classes))}"
    low, high = recipe.data.label_range
    scale = f"from {low:g} to {high:g}"
    if recipe.task.kind == "similarity":
        return f"Scores the similarity of two sentences {scale}"
    return f"Scores {'single sentences' if single else 'two sentences'} {scale}"


def _tags(recipe: Recipe) -> list[str]:
    if recipe.data.classes is not None:
        return ["text-classification"]
    return ["sentence-similarity"] * (recipe.task.kind == "similarity") + ["regression"]


def _measured(run: Run, outcome: Outcome) -> dict[str, Any]:
    """What stands in the table of the scores."""
    metric = run.recipe.task.measure
    return {
        "metric": metric.word,
        "other": KNOWN[metric.beside].word,
        "score": outcome.score,
        "beside": outcome.beside,
        "seed": run.recipe.seed,
        "best_step": outcome.best_step,
        "lora_params": outcome.lora_params,
        "head_params": outcome.head_params,
    }


def _listed(title: str, sentences: Sequence[str]) -> str:
    """A heading and a list; nothing where there is nothing to say."""
    if not sentences:
        return ""
    return f"\n## {title}\n\n" + "".join(f"- {prose(one)}\n" for one in sentences)


def _data(recipe: Recipe) -> str:
    data = recipe.data
    if data.source == "demo":
        return "English pairs generated by the program"
    if data.source == "hub":
        return code_span(str(data.path)) + (f" ({prose(data.name)})" if data.name else "")
    return "own files"


def _settings(recipe: Recipe, outcome: Outcome, fingerprints: Mapping[str, str]) -> str:
    lora, trainer, task = recipe.lora, recipe.trainer, recipe.task
    budget = (
        f"{trainer.max_steps} steps"
        if trainer.max_steps > 0
        else f"{trainer.num_train_epochs:g} epochs"
    )
    rows = {
        "rank r": lora.r,
        "alpha": f"{lora.lora_alpha:g} (scaling {lora.scaling:g})",
        "dropout": f"{lora.lora_dropout:g}",
        "targets": lora.targets_label,
        "learning rate": f"{trainer.learning_rate:g}",
        "batch size": trainer.per_device_train_batch_size,
        "budget": budget,
    }
    if outcome.base_memory_mb is not None:
        kept = recipe.model.quantization.replace("none", trainer.precision)
        peak = outcome.peak_memory_mb
        of = "" if peak is None else f" of at most {peak:,.0f} MB that its worker took"
        rows["base"] = f"{kept}, {outcome.base_memory_mb:,.1f} MB{of}"
    if task.encoder == "bi":
        rows["loss"] = f"{task.loss} of the cosine"
    if fingerprints:
        found = ", ".join(f"{split} `{digest}`" for split, digest in fingerprints.items())
        rows["fingerprints of the pairs"] = found
    return "\n".join(f"| {name} | {prose(value)} |" for name, value in rows.items())
