"""Scores of adapters on further pairs, as the sweep scores dev: packed, in its precision."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from sweep.core.errors import VerificationError
from sweep.core.statistics import Floats
from sweep.core.trial import Run
from sweep.execute.processes import in_fresh_process
from sweep.export import Asymmetry, load_adapted, predicted
from sweep.train.batches import Collator, Rows
from sweep.train.data import Pairs, in_label_units, load_split, tokenized
from sweep.train.keeper import scores
from sweep.train.model import load_tokenizer
from sweep.train.pack import Pack
from sweep.train.packable import why_alone
from sweep.train.runs import base_of
from sweep.train.splits import ScoredSet

#: Adapters that are scored together; more gain little and take memory.
_MOST = 4

#: What pairs are called.
Name = TypeVar("Name", bound=str)
#: Predictions `[N]`, in the units of the labels, by the name of the pairs and by run id.
Predictions = dict[Name, dict[str, Floats]]


@dataclass(frozen=True)
class Trained:
    """A run and its folder, which holds the adapter."""

    run: Run
    folder: Path


def scored_in_fresh_process(
    trained: Sequence[Trained], pairs: Mapping[Name, Pairs], *, threads: int
) -> Predictions[Name]:
    """`predictions_of`, where nothing of this process can help.

    Raises:
        VerificationError: the process has died.
    """
    try:
        return in_fresh_process(predictions_of, trained, pairs, threads)
    except ChildProcessError as death:
        raise VerificationError(f"The process that scores pairs died: {death}") from None


def order_asymmetry(trained: Trained, *, threads: int) -> Asymmetry:
    """What exchanging the sentences does to the scores of dev that the sweep has kept."""
    dev = load_split(trained.run.recipe.data, "dev")
    assert dev.labels is not None
    forth = np.load(trained.folder / "predictions.npy")
    found = scored_in_fresh_process([trained], {"back": dev.swapped()}, threads=threads)
    back = found["back"][trained.run.id]
    change = scores(back, dev.labels)[0] - scores(forth, dev.labels)[0]
    return Asymmetry(float(np.abs(forth - back).mean()), change)


def predictions_of(
    trained: Sequence[Trained], pairs: Mapping[Name, Pairs], threads: int
) -> Predictions[Name]:
    """Every adapter's scores of all these pairs, which have labels."""
    torch.set_num_threads(threads)
    found: Predictions[Name] = {name: {} for name in pairs}
    for pack in _packs(trained):
        predict = _alone if why_alone(pack[0].run.recipe) else _packed
        for name, by_run in predict(pack, pairs).items():
            found[name] |= by_run
    return found


def _packs(trained: Sequence[Trained]) -> list[list[Trained]]:
    """Of one base and one way of reading pairs; seeds and schedules do not matter any more."""

    def key(one: Trained) -> str:
        recipe = one.run.recipe
        alone = recipe.run_id if why_alone(recipe) else ""
        return f"{recipe.model} {recipe.data} {recipe.trainer.precision} {alone}"

    return [
        group[start : start + _MOST]
        for _, members in groupby(sorted(trained, key=key), key)
        for group in [list(members)]
        for start in range(0, len(group), _MOST)
    ]


def _packed(trained: Sequence[Trained], pairs: Mapping[Name, Pairs]) -> Predictions[Name]:
    recipe = trained[0].run.recipe
    tokenizer = load_tokenizer(recipe.model)
    with tempfile.TemporaryDirectory(prefix="sweep-score-") as scratch:
        base = base_of(recipe, scratch=scratch)
    found: Predictions[Name] = {}
    with Pack(base, [one.run for one in trained]) as pack:
        for one in trained:
            pack.load(one.run.id, one.folder / "adapter")
        for name, these in pairs.items():
            rows = Rows(tokenized(these, tokenizer, recipe.data))
            scored = ScoredSet(rows, Collator(tokenizer), recipe.trainer.per_device_eval_batch_size)
            outputs = scored.predictions(pack, base.device)
            found[name] = {
                run.id: in_label_units(row, recipe.data)
                for run, row in zip(pack.runs, outputs, strict=True)
            }
    return found


def _alone(trained: Sequence[Trained], pairs: Mapping[Name, Pairs]) -> Predictions[Name]:
    """By plain PEFT, in float32: some adapters come with changes to the base below them."""
    (one,) = trained
    recipe = one.run.recipe
    tokenizer = load_tokenizer(recipe.model)
    model = load_adapted(one.folder, recipe, tokenizer)
    return {
        name: {one.run.id: predicted(model, these, tokenizer, recipe.data)}
        for name, these in pairs.items()
    }
