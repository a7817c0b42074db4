"""Every pair as every model of a sweep is to see it: what is lost, and whether it can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets

from sweep.core.errors import ModelError
from sweep.core.recipe import Data, Model, Recipe
from sweep.core.words import value_text
from sweep.data.findings import Finding, Split
from sweep.data.pairs import Pairs, seen_in
from sweep.data.seen import cut_finding, unknown_finding
from sweep.data.tokens import cached_tokens
from sweep.execute.cores import physical_cores
from sweep.execute.fresh import in_fresh_process
from sweep.lora.anatomy import outline
from sweep.lora.fit import check_fit, most_positions
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
    wanted = list(dict.fromkeys((recipe.model, recipe.data) for recipe in recipes))
    pairings = {model: load_pairing(model) for model, _ in wanted}
    several = len(pairings) > 1
    found = []
    for model, pairing in pairings.items():
        found += pairing.findings(of=_of(model, several))
    for model, data in wanted:
        found += _look(model, pairings[model], data, pairs[data], of=_of(model, several))
    separators = {
        model.path: pairing.separator for model, pairing in pairings.items() if pairing.separator
    }
    # Two configs that differ in the number of rows may well say the same.
    return list({finding.sentence: finding for finding in found}.values()), separators


def _of(model: Model, several: bool) -> str:
    return f" ({value_text(model.path)})" if several else ""


def _look(model: Model, pairing: Pairing, data: Data, pairs: Splits, *, of: str) -> list[Finding]:
    tables = {split: cached_tokens(one, pairing.tokenizer, data) for split, one in pairs.items()}
    net = outline(load_config(model))
    ids = {split: _ids(table) for split, table in tables.items()}
    check_fit(net, pairing.tokenizer, ids, path=model.path, max_length=data.max_length)
    most = most_positions(net)
    found: list[Finding | None] = [*without_first_token(pairing.tokenizer, net, of=of)]
    for split, table in tables.items():
        seen = seen_in(table)
        found += [
            cut_finding(seen, split=split, max_length=data.max_length, most=most, of=of),
            unknown_finding(
                seen, split=split, model=value_text(model.path), on_unknown=data.on_unknown, of=of
            ),
        ]
    return [finding for finding in found if finding is not None]


def _ids(table: datasets.Dataset) -> list[list[int]]:
    return list(table["input_ids"])


def try_steps(recipes: Sequence[Recipe], folder: Path) -> None:
    """One step of each model on its longest pairs, in a process of its own.

    Args:
        folder: Of the study. A model that has trained there needs no trial.

    Raises:
        ModelError: a step fails, as it would in every run of this model.
    """
    proven = _proven(folder)
    for model in dict.fromkeys(recipe.model for recipe in recipes):
        own = [recipe for recipe in recipes if recipe.model == model]
        # The longest pairs, and of them what takes the least memory: what fails would fail in all.
        tried = min(own, key=lambda recipe: (-recipe.data.max_length, relative_memory(recipe)))
        if (tried.model, tried.data, tried.trainer.precision) not in proven:
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


def _proven(folder: Path) -> set[tuple[Model, Data, str]]:
    """What has been trained there with the libraries that are installed now."""
    now = versions()
    try:
        records = read_records(StudyFiles(folder))
    except OSError:
        # A place that can't be a study's is refused when it is opened.
        return set()
    recipes = [r.run.recipe for r in records if r.evaluations and r.versions == now]
    return {(recipe.model, recipe.data, recipe.trainer.precision) for recipe in recipes}
