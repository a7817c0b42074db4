"""What the settings do: `effects.csv`, `importance.csv` and `effects.json` of a study."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.core.errors import StudyError
from sweep.core.files import write_text
from sweep.core.words import label_of, name_of
from sweep.stats.best_of import Drawn
from sweep.stats.effects import Effect, Importance, importances, main_effects
from sweep.stats.interval import Interval
from sweep.stats.levels import factors_of
from sweep.stats.own_rates import OwnRates
from sweep.stats.own_rates_words import own_rates_words
from sweep.study.files import StudyFiles
from sweep.study.lora_answers import LoraAnswers, lora_answers
from sweep.study.own_rates import at_one_rate, at_own_rates
from sweep.study.ranking import Ranking
from sweep.study.reading import missing_is_none, read_csv, read_json, to_csv
from sweep.study.variants import drawn_variants, variant_words


@dataclass(frozen=True)
class Effects:
    """What the settings do, in numbers and sentences; empty where that is not known yet."""

    effects: tuple[Effect, ...] = ()
    importances: tuple[Importance, ...] = ()
    sentences: tuple[str, ...] = ()
    answers: LoraAnswers = field(default_factory=LoraAnswers)
    #: Ranks at their own best learning rates, where both were searched.
    own_rates: OwnRates | None = None
    #: LoRA and its relatives, where several were tried.
    variants: tuple[Drawn, ...] = ()


@dataclass(frozen=True)
class _Kept:
    """What `effects.json` holds; that of an older program lacks the later ones."""

    sentences: tuple[str, ...] = ()
    answers: LoraAnswers = field(default_factory=LoraAnswers)
    own_rates: OwnRates | None = None
    variants: tuple[Drawn, ...] = ()


def write_findings(board: Ranking, folder: Path, *, keys: Sequence[str]) -> Effects:
    """Write the study's effects, their importance, and both in sentences; returns all of it.

    Args:
        board: Of the search's runs alone: confirmation runs are of the leaders only.
        keys: The searched keys.
    """
    found = _effects(board, keys)
    if not found.effects:
        return found
    files = StudyFiles(folder)
    write_text(files.effects, to_csv(table_of_effects(found.effects)))
    write_text(files.importance, to_csv(table_of_importances(found.importances)))
    kept = _Kept(found.sentences, found.answers, found.own_rates, found.variants)
    content = json.dumps(dataclasses.asdict(kept), ensure_ascii=False)
    write_text(files.effects_in_words, content)
    return found


def read_effects(files: StudyFiles) -> Effects:
    """As the driver last wrote them; files that are damaged count as not there."""
    kept = read_json(files.effects_in_words, _Kept, otherwise="nothing is said of effects")
    kept = kept or _Kept()
    return Effects(
        tuple(Effect(**row) for row in _rows(files.effects, Effect)),
        tuple(Importance(**row) for row in _rows(files.importance, Importance)),
        kept.sentences,
        kept.answers,
        kept.own_rates,
        kept.variants,
    )


def table_of_effects(effects: Sequence[Effect]) -> pd.DataFrame:
    """`effects.csv`."""
    return _table(effects, Effect)


def table_of_importances(shares: Sequence[Importance]) -> pd.DataFrame:
    """`importance.csv`."""
    return _table(shares, Importance)


def matters_line(effects: Sequence[Effect]) -> list[str]:
    """One line for the terminal: the keys whose levels differ for sure, and the others."""
    keys = list(dict.fromkeys(e.key for e in effects))
    sure = [k for k in keys if any(e.distinguishable for e in effects if e.key == k)]
    unsure = [name_of(k) for k in keys if k not in sure]
    best = {e.key: e.level for e in effects if e.difference == 0}
    leads = [f"{name_of(k)} ({best[k]} is best)" for k in sure]
    parts = [f"matters: {', '.join(leads)}"] if leads else []
    parts += [f"not distinguishable: {', '.join(unsure)}"] if unsure else []
    return ["; ".join(parts)] if parts else []


def answer_lines(answers: LoraAnswers) -> list[str]:
    """What the sweep says to the questions about LoRA, for the terminal."""
    heads = ("lora    ", *[" " * 8] * len(answers.lines))
    return [f"{head} {line}" for head, line in zip(heads, answers.lines, strict=False)]


def own_rates_lines(found: OwnRates | None) -> list[str]:
    """The best rate of each rank, and what it is worth there, for the terminal."""
    said = own_rates_words(found) if found else ()
    heads = ("rates   ", *[" " * 8] * len(said))
    return [f"{head} {line}" for head, line in zip(heads, said, strict=False)]


def variant_lines(found: Sequence[Drawn]) -> list[str]:
    """What a budget of draws gives with LoRA and with each relative, for the terminal."""
    said = variant_words(found)
    heads = ("variants", *[" " * 8] * len(said))
    return [f"{head} {line}" for head, line in zip(heads, said, strict=False)]


def _effects(board: Ranking, keys: Sequence[str]) -> Effects:
    comparison, configs = board.leaders, board.contenders
    if comparison is None or len(configs) < 2:
        return Effects()
    recipes = [board.recipes[c.config_id] for c in configs]
    factors = factors_of([{k: _hashable(r.value_of(k)) for k in keys} for r in recipes], keys)
    if not factors:
        return Effects()
    effects = main_effects(factors, comparison)
    answers = lora_answers(configs, recipes, factors, comparison)
    means = [c.mean for c in configs]
    rates = at_own_rates(recipes, means, factors)
    variants = drawn_variants(recipes, means)
    said = [*_in_words(effects), *answers.lines, *(own_rates_words(rates) if rates else ())]
    said += variant_words(variants)
    return Effects(
        tuple(effects),
        tuple(importances(factors, comparison.means)),
        tuple(filter(None, [*said, at_one_rate(recipes)])),
        answers,
        rates,
        variants,
    )


def _in_words(effects: Sequence[Effect]) -> list[str]:
    """A sentence a key: its best level against those that are surely worse, or that none is."""
    sentences = []
    keys = list(dict.fromkeys(e.key for e in effects))
    for key in keys:
        levels = [e for e in effects if e.key == key]
        best = next(e for e in levels if e.difference == 0)
        worse = sorted((e for e in levels if e.distinguishable), key=lambda e: e.difference)
        if worse:
            beside = [name_of(other) for other in keys if other != key]
            ahead = [f"{e.level} by {_lead(e).as_difference}{_cells(e, beside)}" for e in worse[:3]]
            sentences.append(f"{name_of(key)}: {best.level} is ahead of {'; of '.join(ahead)}.")
            continue
        last = min(levels, key=lambda e: e.difference)
        known = f", {_lead(last).as_difference}" if last.ci_low is not None else ""
        most = f"most between {best.level} and {last.level}{known}"
        sentences.append(f"{name_of(key)}: not distinguishable; {most}.")
    return sentences


def _cells(effect: Effect, beside: Sequence[str]) -> str:
    """From pair to pair of configs, and what is to be expected beside settings that were not tried,
    where that is less sure."""
    said = ""
    if effect.cells_low is not None and effect.cells_high is not None:
        size = _range(effect.cells_low, effect.cells_high)
        said = f" in this grid; by {size}, depending on {' and '.join(beside)}"
    if effect.most_at is not None:
        said += f", most at {effect.most_at}"
    if effect.elsewhere_low is None or effect.elsewhere_high is None:
        return said
    size = _range(effect.elsewhere_low, effect.elsewhere_high)
    return f"{said or ' in these configs'}; {size} is to be expected beside other settings"


def _range(low: float, high: float) -> str:
    """Seen from the best level."""
    return f"{-high:+.4f} to {-low:+.4f}"


def _lead(effect: Effect) -> Interval:
    """The same difference, seen from the best level."""
    assert effect.ci_low is not None
    assert effect.ci_high is not None
    return Interval(effect.difference, effect.ci_low, effect.ci_high).turned


def _hashable(value: object) -> object:
    return label_of(value) if isinstance(value, tuple) else value


def _table(rows: Sequence[Effect | Importance], kind: type) -> pd.DataFrame:
    columns = [each.name for each in dataclasses.fields(kind)]
    return pd.DataFrame([dataclasses.asdict(row) for row in rows], columns=columns)


def _rows(path: Path, kind: type) -> list[Mapping[str, Any]]:
    """The rows of a table, with the columns that the kind has."""
    fields = dataclasses.fields(kind)
    names = {each.name for each in fields}
    needed = {each.name for each in fields if each.default is dataclasses.MISSING}
    try:
        table = read_csv(path)
    except StudyError:
        return []
    if not needed <= set(table.columns):
        return []
    return [{k: v for k, v in row.items() if k in names} for row in missing_is_none(table)]
