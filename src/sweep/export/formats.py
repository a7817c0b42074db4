"""The forms that an adapter leaves in beside itself: written, used, held against the adapter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from sweep.core.arrays import Floats
from sweep.core.errors import ExportError
from sweep.core.files import write_text
from sweep.core.metric import Metric
from sweep.core.optional import trouble_with
from sweep.core.recipe import Data, Recipe
from sweep.data.pairs import Pairs, in_label_units
from sweep.export.exported import (
    exported_pooling,
    load_adapted,
    load_exported_tokenizer,
    predicted,
)
from sweep.export.merged import load_merged, speaks_label_units, write_merged
from sweep.export.onnx_model import write_int8, write_onnx
from sweep.lora.sentence_vectors import SentencePooling, cosines, sentence_vectors
from sweep.stats.interval import Interval
from sweep.stats.paired import paired_difference
from sweep.stats.statistics import Sample
from sweep.study.files import ExportedFiles
from sweep.train.scores import scores

#: `adapter` on its base; base and adapter `merged` into one; that for onnxruntime; in eight bits.
Format = Literal["adapter", "merged", "onnx", "int8"]
FORMATS: tuple[Format, ...] = get_args(Format)
#: Points of Pearson that a form may lose: half of what people print, and less than the error of
#: most dev sets.
MARGIN = 0.005
#: Scores `[N]`, in the units of the labels, of pairs that share a batch.
Score = Callable[[Sequence[tuple[str, str]]], Floats]
_BATCH = 32
_README = """\
---
base_model: {base}
tags: [sentence-similarity, regression]
---

# Base and LoRA adapter as one model

```python
{use}
```

{scale} Texts are cut to {max_length} tokens, as in the training.
Scores and settings are in the README of the folder above.
"""
_USE_CROSS = """\
from sentence_transformers import CrossEncoder

print(CrossEncoder("THIS_FOLDER").predict([("A man is eating.", "Someone eats.")]))"""
_USE_BI = """\
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("THIS_FOLDER")
one, other = model.encode(["A man is eating."]), model.encode(["Someone eats."])
print(model.similarity_pairwise(one, other))"""


@dataclass(frozen=True)
class FormatScore:
    """A form on dev, beside the adapter on its base.

    `metric` is the word for what it is judged by. `difference` is its score minus that of the
    adapter, on the same resamples of the pairs; `largest` the largest difference between the scores
    of a pair, in the units of the labels.
    """

    name: Format
    metric: str
    score: float
    largest: float
    difference: Interval

    @property
    def is_safe(self) -> bool:
        """Whether the loss is surely within the margin."""
        return self.difference.ci_low >= -MARGIN

    @property
    def in_words(self) -> str:
        """One sentence."""
        change = self.difference.as_difference if abs(self.difference.value) >= 5e-5 else "the same"
        return f"{self.name}: dev {self.metric} {change}, scores within {self.largest:.1e}"

    @property
    def warning(self) -> str | None:
        """A sentence for the top of the card; None where there is nothing to warn of."""
        if self.is_safe:
            return None
        return (
            f"`{self.name}/` may lose more than {MARGIN:g} of dev {self.metric}: "
            f"{self.difference.as_difference} beside the adapter. Take another form."
        )


def write_formats(wanted: Collection[Format], files: ExportedFiles, recipe: Recipe) -> None:
    """Write merged forms of the adapter of an exported folder.

    Raises:
        ExportError: the adapter, its base or its tokenizer is not fit for it.
    """
    if not {*wanted} - {"adapter"}:
        return
    tokenizer = load_exported_tokenizer(files.folder)
    # Into a quantized base it would be rounded once more.
    adapted: Any = load_adapted(files.folder, recipe.in_float, tokenizer)
    merged = adapted.merge_and_unload().eval()
    pooling = exported_pooling(files.folder, recipe)
    if {"onnx", "int8"} & {*wanted}:
        refuse_other_tasks(recipe, "`--onnx` and `--int8`")
        with tempfile.TemporaryDirectory(prefix="sweep-onnx-") as scratch:
            whole = files.onnx if "onnx" in wanted else Path(scratch) / files.onnx.name
            write_onnx(merged, tokenizer, recipe.data, pooling, whole)
            if "int8" in wanted:
                write_int8(whole, files.int8)
    # Last: it puts the labels' scale into the head.
    if "merged" in wanted and pooling is None:
        write_merged(merged, tokenizer, files.merged, recipe.data)
    elif "merged" in wanted:
        merged.save_pretrained(str(files.merged))
    if "merged" in wanted and scores_pairs(recipe):
        write_text(ExportedFiles(files.merged).card, _readme(merged, recipe))


def scores_pairs(recipe: Recipe) -> bool:
    """Whether the model gives a score to two sentences."""
    return recipe.data.classes is None and recipe.data.text_b is not None


def refuse_other_tasks(recipe: Recipe, what: str) -> None:
    """
    Raises:
        ExportError: the model does not score pairs.
    """
    if not scores_pairs(recipe):
        kind = "single sentences" if recipe.data.text_b is None else "classes"
        raise ExportError(
            f"{what} are for models that score pairs.",
            value=f"this one answers on {kind}",
            way_out="`--merge` writes a folder that transformers loads",
        )


def formats_in(folder: Path) -> list[Format]:
    """The forms that an exported folder holds."""
    return [name for name in FORMATS if (folder / name).is_dir()]


def format_scores(
    folder: Path, recipe: Recipe, dev: Pairs, adapter: Floats, metric: Metric
) -> list[FormatScore]:
    """Every other form of an exported folder beside the adapter, whose scores `[N]` are known.

    Without onnxruntime its forms are left out.
    """
    names = [name for name in formats_in(folder) if name != "adapter" and why_not(name) is None]
    return [
        _compared(name, _scores(name, folder, recipe, dev), adapter, dev, metric) for name in names
    ]


def why_not(name: Format) -> str | None:
    """Why a form can't be used here; None where it can."""
    trouble = trouble_with("onnxruntime") if name in ("onnx", "int8") else None
    return f"onnxruntime {trouble}" if trouble else None


def score_of(
    name: Format,
    folder: Path,
    recipe: Recipe,
    *,
    threads: int,
    dtype: torch.dtype = torch.float32,
) -> Score:
    """Load one form of an exported folder. `merged` is made here where it is not written.

    Args:
        dtype: What torch computes in.

    Raises:
        ExportError, ModelError: it is not whole, or not there.
    """
    files = ExportedFiles(folder)
    if name in ("onnx", "int8"):
        from sweep.export.standalone import scorer

        return scorer(folder / name, threads)
    torch.set_num_threads(threads)
    tokenizer, pooling = load_exported_tokenizer(folder), exported_pooling(folder, recipe)
    if name == "merged" and files.merged.is_dir():
        model = load_merged(files.merged, recipe.task.encoder)
    else:
        on = recipe if name == "adapter" else recipe.in_float
        adapted: Any = load_adapted(folder, on, tokenizer)
        model = adapted if name == "adapter" else adapted.merge_and_unload()
    return score_by(model.to(dtype), tokenizer, recipe.data, pooling)


def score_by(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    pooling: SentencePooling | None,
) -> Score:
    """What a model makes of pairs, and nothing around it."""
    model.eval()

    @torch.inference_mode()
    def score(pairs: Sequence[tuple[str, str]]) -> Floats:
        first, second = map(list, zip(*pairs, strict=True))
        if pooling is not None:
            one, other = (
                sentence_vectors(model, tokenizer, side, pooling, max_length=data.max_length)
                for side in (first, second)
            )
            return in_label_units(cosines(one, other), data)
        cut = {"truncation": True, "max_length": data.max_length}
        batch = tokenizer(first, second, padding=True, return_tensors="pt", **cut)
        logits: Floats = model(**batch).logits.reshape(-1).double().numpy()
        return logits if speaks_label_units(model) else in_label_units(logits, data)

    return score


def in_batches(score: Score, pairs: Sequence[tuple[str, str]], *, size: int = _BATCH) -> Floats:
    """Scores `[N]`; pairs of like length share a batch."""
    order = np.argsort([len(first) + len(second) for first, second in pairs], kind="stable")
    found = np.empty(len(pairs), dtype=np.float64)
    for start in range(0, len(order), size):
        places = order[start : start + size]
        found[places] = score([pairs[place] for place in places])
    return found


def _readme(merged: torch.nn.Module, recipe: Recipe) -> str:
    low, high = recipe.data.label_range
    is_bi = recipe.task.encoder == "bi"
    is_scaled = is_bi or not speaks_label_units(merged)
    units = (0, 1) if is_scaled else (low, high)
    later = f"; {low:g} + {high - low:g} times that is a score" if is_scaled else ""
    return _README.format(
        base=recipe.model.hub_name or recipe.model.path,
        use=(_USE_BI if is_bi else _USE_CROSS),
        scale=f"The result goes from {units[0]:g} to {units[1]:g}{later}.",
        max_length=recipe.data.max_length,
    )


def _scores(name: Format, folder: Path, recipe: Recipe, dev: Pairs) -> Floats:
    if name == "merged":
        model = load_merged(ExportedFiles(folder).merged, recipe.task.encoder)
        pooling = exported_pooling(folder, recipe)
        return predicted(model, dev, load_exported_tokenizer(folder), recipe.data, pooling=pooling)
    score = score_of(name, folder, recipe, threads=torch.get_num_threads())
    return in_batches(score, list(zip(dev.text_a, dev.text_b, strict=True)))


def _compared(
    name: Format, found: Floats, adapter: Floats, dev: Pairs, metric: Metric
) -> FormatScore:
    assert dev.labels is not None
    one, other = (Sample((0,), values[None]) for values in (found, adapter))
    difference = paired_difference(one, other, dev.labels, metric=metric)
    largest = float(np.abs(found - adapter).max())
    return FormatScore(name, metric.word, scores(found, dev.labels, metric)[0], largest, difference)
