"""Every pair as every model of a sweep is to see it: what is lost, and whether it can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets

from sweep.core.errors import ModelError
from sweep.core.recipe import Data, Model, Recipe
from sweep.core.task import Encoder
from sweep.core.words import value_text
from sweep.data.findings import Finding, Split
from sweep.data.pairs import Pairs, seen_in
from sweep.data.seen import cut_finding, unknown_finding
from sweep.data.tokens import cached_tokens
from sweep.execute.cores import physical_cores
from sweep.execute.fresh import in_fresh_process
from sweep.lora.anatomy import outline
from sweep.lora.fit import check_fit, most_positions
from sweep.lora.heads import reading_of
from sweep.lora.model import load_config, load_pairing
from sweep.lora.pairing import Pairing, without_first_token
from sweep.study.files import StudyFiles
from sweep.study.folder import versions
from sweep.study.kept_runs import read_records
from sweep.train.cost import relative_memory
from sweep.train.first_step import try_first_step

#: Pairs of each split, by name.
Splits = Mapping[Split, Pairs]


def look_at_pairs(
    recipes: Sequence[Recipe], pairs: Mapping[Data, Splits]
) -> tuple[list[Finding], dict[str, str]]:
    """Tokenise all pairs for all models, and hold them against each.

    Returns:
        What is to be known of them, and the separators that were put between sentences, by model.

    Raises:
        DataError: a model does not know most of the words.
        ModelError: a model can't read the pairs.
    """
    wanted = list(dict.fromkeys((r.model, r.data, r.task.encoder) for r in recipes))
    pairings = {
        (model, data.template): load_pairing(model, data.template) for model, data, _ in wanted
    }
    several = len({model for model, _ in pairings}) > 1
    # Sentences that are read apart, or are alone, are not joined.
    joined = {
        (model, data.template): pairings[model, data.template]
        for model, data, encoder in wanted
        if encoder == "cross" and data.text_b is not None
    }
    found = []
    for (model, _), pairing in joined.items():
        found += pairing.findings(of=_of(model, several))
    for model, data, encoder in wanted:
        of = _of(model, several)
        found += _look(model, pairings[model, data.template], data, pairs[data], encoder, of=of)
    separators = {
        model.path: pairing.separator for (model, _), pairing in joined.items() if pairing.separator
    }
    # Two configs that differ in the number of rows may well say the same.
    return list({finding.sentence: finding for finding in found}.values()), separators


def _of(model: Model, several: bool) -> str:
    return f" ({value_text(model.path)})" if several else ""


def _look(
    model: Model, pairing: Pairing, data: Data, pairs: Splits, encoder: Encoder, *, of: str
) -> list[Finding]:
    tokenizer, reading = pairing.tokenizer, reading_of(model, encoder)
    tables = {split: cached_tokens(one, tokenizer, data, reading) for split, one in pairs.items()}
    net = outline(load_config(model))
    ids = {split: _ids(table, apart=reading.apart) for split, table in tables.items()}
    unit = "sentence" if reading.apart or data.text_b is None else "pair"
    check_fit(net, tokenizer, ids, path=model.path, max_length=data.max_length, unit=unit)
    most = most_positions(net)
    found: list[Finding | None] = []
    if encoder == "cross":
        found += without_first_token(tokenizer, net, of=of)
    for split, table in tables.items():
        seen = seen_in(table)
        found += [
            cut_finding(seen, split=split, max_length=data.max_length, most=most, of=of),
            unknown_finding(
                seen, split=split, model=value_text(model.path), on_unknown=data.on_unknown, of=of
            ),
        ]
    return [finding for finding in found if finding is not None]


def _ids(table: datasets.Dataset, *, apart: bool) -> list[list[int]]:
    ids = list(table["input_ids"])
    return [sentence for pair in ids for sentence in pair] if apart else ids


def try_steps(recipes: Sequence[Recipe], folder: Path) -> None:
    """One step of each model and encoder on its longest pairs, in a process of its own.

    Args:
        folder: Of the study. A model that has trained there needs no trial.

    Raises:
        ModelError: a step fails, as it would in every run of this model.
    """
    proven = _proven(folder)
    for kind in dict.fromkeys((recipe.model, recipe.task.encoder) for recipe in recipes):
        own = [recipe for recipe in recipes if (recipe.model, recipe.task.encoder) == kind]
        # The longest pairs, and of them what takes the least memory: what fails would fail in all.
        tried = min(own, key=lambda recipe: (-recipe.data.max_length, relative_memory(recipe)))
        if _kind(tried) not in proven:
            _try(tried)


def _try(recipe: Recipe) -> None:
    try:
        in_fresh_process(try_first_step, recipe, len(physical_cores()))
    except ChildProcessError as death:
        raise ModelError(
            "The first step of a training must work: every run would fail at it.",
            value=f"{recipe.model.path}: its process died ({death})",
            way_out="free memory, or take a smaller model, `data.max_length` or "
            "`trainer.per_device_train_batch_size`",
        ) from None


def _kind(recipe: Recipe) -> tuple[Model, Data, Encoder, str]:
    return recipe.model, recipe.data, recipe.task.encoder, recipe.trainer.precision


def _proven(folder: Path) -> set[tuple[Model, Data, Encoder, str]]:
    """What has been trained there with the libraries that are installed now."""
    now = versions()
    try:
        records = read_records(StudyFiles(folder))
    except OSError:
        # A place that can't be a study's is refused when it is opened.
        return set()
    return {_kind(r.run.recipe) for r in records if r.evaluations and r.versions == now}
