"""Scores of adapters on further pairs, as the sweep scores dev: packed, in its precision."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from sweep.core.arrays import Floats
from sweep.core.errors import VerificationError
from sweep.core.files import read_floats
from sweep.data.pairs import Pairs, in_label_units, load_split, tokenized
from sweep.execute.fresh import in_fresh_processes
from sweep.export.asymmetry import Asymmetry
from sweep.export.exported import load_adapted, predicted
from sweep.loop.trial import Run
from sweep.lora.batches import Collator, TokenisedPairs
from sweep.lora.heads import pooling_for, reading_of
from sweep.lora.model import load_tokenizer
from sweep.lora.packable import layers_key, why_alone, why_plain
from sweep.lora.whole import pack_of
from sweep.study.files import RunFiles, StudyFiles
from sweep.train.runs import base_of
from sweep.train.scores import scores
from sweep.train.splits import ScoredSet

#: Adapters that are scored together; more gain little and take memory.
_MOST = 4
_BACK = "dev with its sentences exchanged"

#: Predictions `[N]`, in the units of the labels, by the name of the pairs and by run id.
Predictions = dict[str, dict[str, Floats]]


@dataclass(frozen=True)
class Trained:
    """A run and its folder, which holds the adapter."""

    run: Run
    folder: Path

    @classmethod
    def of(cls, run: Run, study: Path) -> Trained:
        """A complete run of the study in this folder."""
        return cls(run, StudyFiles(study).run(run.id).folder.resolve())


@dataclass(frozen=True)
class Scoring:
    """Pairs with labels, under a name, and the adapters that are to score them."""

    name: str
    pairs: Pairs
    adapters: tuple[Trained, ...]


def scored(wanted: Sequence[Scoring], *, processes: int, threads: int) -> Predictions:
    """`predictions_of`, shared out over fresh processes: nothing of this one can help there.

    Raises:
        VerificationError: a process has died.
    """
    calls = [(share, threads) for share in _shared_out(wanted, processes)]
    try:
        answers = in_fresh_processes(predictions_of, calls)
    except ChildProcessError as death:
        raise VerificationError(f"A process that scores pairs died: {death}") from None
    found: Predictions = {scoring.name: {} for scoring in wanted}
    for answer in answers:
        for name, by_run in answer.items():
            found[name] |= by_run
    return found


def order_scoring(trained: Trained) -> list[Scoring]:
    """Dev with its sentences exchanged; nothing where each is alone."""
    if trained.run.recipe.data.text_b is None:
        return []
    return [Scoring(_BACK, load_split(trained.run.recipe.data, "dev").swapped(), (trained,))]


def order_asymmetry(trained: Trained, predictions: Predictions) -> Asymmetry | None:
    """What `order_scoring` has changed in the scores of dev that the sweep has kept."""
    if _BACK not in predictions:
        return None
    metric = trained.run.recipe.task.measure
    labels = load_split(trained.run.recipe.data, "dev").labels
    assert labels is not None
    forth = read_floats(RunFiles(trained.folder).predictions)
    back = predictions[_BACK][trained.run.id]
    change = scores(back, labels, metric)[0] - scores(forth, labels, metric)[0]
    moved = np.abs(forth - back) if not metric.of_classes else forth != back
    return Asymmetry(float(moved.mean()), change)


def predictions_of(wanted: Sequence[Scoring], threads: int) -> Predictions:
    """What every adapter makes of its pairs."""
    torch.set_num_threads(threads)
    found: Predictions = {scoring.name: {} for scoring in wanted}
    for scoring in wanted:
        for pack in _packs(scoring.adapters):
            predict = _alone if why_plain(pack[0].run.recipe) else _packed
            found[scoring.name] |= predict(pack, scoring.pairs)
    return found


def _shared_out(wanted: Sequence[Scoring], processes: int) -> list[list[Scoring]]:
    """Each adapter goes, with its pairs, to the process that has least to score so far."""
    loads = [0] * processes
    shares: list[dict[int, list[Trained]]] = [{} for _ in loads]
    for number, scoring in enumerate(wanted):
        for adapter in scoring.adapters:
            place = loads.index(min(loads))
            loads[place] += len(scoring.pairs)
            shares[place].setdefault(number, []).append(adapter)
    return [
        [replace(wanted[number], adapters=tuple(some)) for number, some in share.items()]
        for share in shares
        if share
    ]


def _packs(trained: Sequence[Trained]) -> list[list[Trained]]:
    """Of one base and one way of reading pairs; seeds and schedules do not matter any more."""

    def key(one: Trained) -> str:
        recipe = one.run.recipe
        alone = recipe.run_id if why_alone(recipe) else ""
        how = f"{recipe.trainer.precision} {layers_key(recipe)} {alone}"
        return f"{recipe.model} {recipe.data} {recipe.task} {how}"

    return [
        group[start : start + _MOST]
        for _, members in groupby(sorted(trained, key=key), key)
        for group in [list(members)]
        for start in range(0, len(group), _MOST)
    ]


def _packed(trained: Sequence[Trained], pairs: Pairs) -> dict[str, Floats]:
    recipe = trained[0].run.recipe
    tokenizer = load_tokenizer(recipe.model, recipe.data.template)
    with tempfile.TemporaryDirectory(prefix="sweep-score-") as scratch:
        base = base_of(recipe, scratch=scratch)
    reading = reading_of(recipe.model, recipe.task.encoder)
    rows = TokenisedPairs(tokenized(pairs, tokenizer, recipe.data, reading))
    batches = ScoredSet(rows, Collator(tokenizer), recipe.trainer.per_device_eval_batch_size)
    with pack_of(base, [one.run for one in trained]) as pack:
        for one in trained:
            weights = RunFiles(one.folder).weights(one.run.recipe.tuning)
            pack.load(one.run.id, weights)
        outputs = batches.predictions(pack, base.device)
        return {
            run.id: in_label_units(row, recipe.data)
            for run, row in zip(pack.runs, outputs, strict=True)
        }


def _alone(trained: Sequence[Trained], pairs: Pairs) -> dict[str, Floats]:
    """By plain PEFT, in float32: some adapters come with changes to the base below them."""
    (one,) = trained
    recipe = one.run.recipe
    tokenizer = load_tokenizer(recipe.model, recipe.data.template)
    model = load_adapted(one.folder, recipe, tokenizer)
    pooling = pooling_for(recipe.model, recipe.task.encoder)
    return {one.run.id: predicted(model, pairs, tokenizer, recipe.data, pooling=pooling)}
