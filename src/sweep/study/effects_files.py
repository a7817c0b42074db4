"""What the settings do: `effects.csv`, `importance.csv` and `effects.json` of a study."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from sweep.core.arrays import Floats
from sweep.core.files import write_text
from sweep.core.recipe import Recipe
from sweep.core.words import name_of
from sweep.stats.comparison import Comparison
from sweep.stats.effects import (
    Effect,
    Factor,
    Importance,
    factors_of,
    importances,
    interaction,
    main_effects,
    resampled_configs,
)
from sweep.stats.interval import Interval
from sweep.stats.verdict import Contender
from sweep.study.ranking import Ranking

#: Configs below which nothing is said of correlations.
_FEWEST = 6
#: Two targets are compared where their parameter counts differ by less.
_SAME_SIZE = 0.1


def write_findings(board: Ranking, folder: Path, *, keys: Sequence[str]) -> list[Effect]:
    """Write the study's effects, their importance, and both in sentences; returns the effects.

    Args:
        board: Of the search's runs alone: confirmation runs are of the leaders only.
        keys: The searched keys.
    """
    comparison, configs = board.leaders, board.contenders
    if comparison is None or len(configs) < 2:
        return []
    rows = [{key: board.recipes[c.config_id].value_of(key) for key in keys} for c in configs]
    factors = factors_of([_hashable(row) for row in rows], keys)
    if not factors:
        return []
    effects = main_effects(factors, comparison)
    recipes = [board.recipes[c.config_id] for c in configs]
    sentences = [
        *_in_words(effects),
        *_rank_and_alpha(recipes, factors, comparison),
        *_same_size(configs, recipes, comparison),
        *_one_knob(recipes, comparison.means),
    ]
    _write_table(folder / "effects.csv", effects, Effect)
    _write_table(folder / "importance.csv", importances(factors, comparison.means), Importance)
    write_text(folder / "effects.json", json.dumps({"sentences": sentences}, ensure_ascii=False))
    return effects


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


def _in_words(effects: Sequence[Effect]) -> list[str]:
    """A sentence a key: its best level against those that are surely worse, or that none is."""
    sentences = []
    for key in dict.fromkeys(e.key for e in effects):
        levels = [e for e in effects if e.key == key]
        best = next(e for e in levels if e.difference == 0)
        worse = sorted((e for e in levels if e.distinguishable), key=lambda e: e.difference)
        if worse:
            ahead = [f"{e.level} by {_lead(e).as_difference}" for e in worse[:3]]
            sentences.append(f"{name_of(key)}: {best.level} is ahead of {', '.join(ahead)}.")
            continue
        last = min(levels, key=lambda e: e.difference)
        known = f", {_lead(last).as_difference}" if last.ci_low is not None else ""
        most = f"most between {best.level} and {last.level}{known}"
        sentences.append(f"{name_of(key)}: not distinguishable; {most}.")
    return sentences


def _lead(effect: Effect) -> Interval:
    """The same difference, seen from the best level."""
    assert effect.ci_low is not None
    assert effect.ci_high is not None
    return Interval(effect.difference, effect.ci_low, effect.ci_high).turned


def _rank_and_alpha(
    recipes: Sequence[Recipe], factors: Sequence[Factor], comparison: Comparison
) -> list[str]:
    ranks = np.log2([r.lora.r for r in recipes])
    alphas = np.log2([r.lora.lora_alpha for r in recipes])
    if not {"lora.r", "lora.lora_alpha"} <= {f.key for f in factors}:
        return []
    found = interaction(ranks, alphas, factors, comparison)
    if found is None:
        return []
    size = found.as_difference
    if not found.is_clear:
        return [f"r x alpha: no interaction to be seen, {size} per doubling of both."]
    return [f"r x alpha: doubling alpha is worth {size} more for each doubling of r."]


def _same_size(
    configs: Sequence[Contender], recipes: Sequence[Recipe], comparison: Comparison
) -> list[str]:
    """q/v against all-linear, where ranks make them cost the same and the rest is equal."""
    places: dict[Recipe, dict[object, list[int]]] = {}
    for place, recipe in enumerate(recipes):
        same = places.setdefault(_rest(recipe), {})
        same.setdefault(recipe.lora.target_modules, []).append(place)
    pairs = [
        (i, j)
        for same in places.values()
        for i, j in product(same.get("qv", ()), same.get("all-linear", ()))
        if _alike(configs[i].lora_params, configs[j].lora_params)
    ]
    if not pairs:
        return []
    weights = np.zeros(len(recipes))
    for i, j in pairs:
        weights[i] -= 1 / len(pairs)
        weights[j] += 1 / len(pairs)
    ends = np.quantile(comparison.deviations @ weights, [0.025, 0.975])
    value = float(weights @ comparison.means)
    found = Interval(value, value + float(ends[0]), value + float(ends[1]))
    clear = "" if found.is_clear else ", not distinguishable"
    seeds = "" if comparison.seed_sd is not None else "; one seed each, its luck is not in this"
    return [
        f"at equal parameter count ({len(pairs)} pairs) all-linear is {found.as_difference} from qv"
        f"{clear}{seeds}."
    ]


def _alike(first: int | None, second: int | None) -> bool:
    return bool(first and second and abs(first / second - 1) < _SAME_SIZE)


def _rest(recipe: Recipe) -> Recipe:
    """The recipe without what makes its adapter large."""
    return recipe.with_values(
        {"lora.r": 1, "lora.lora_alpha": recipe.lora.scaling, "lora.target_modules": "any"}
    )


def _one_knob(recipes: Sequence[Recipe], means: Floats) -> list[str]:
    """Learning rate and scaling alpha/r: under Adam nearly one knob, their product."""
    rates = np.log([r.trainer.learning_rate for r in recipes])
    scalings = np.log([r.lora.scaling for r in recipes])
    # Equal products are ties: the last digits of a sum of logarithms must not rank them.
    product = np.round(rates + scalings, 9)
    if len(means) < _FEWEST or np.ptp(rates) < 1e-9 or np.ptp(scalings) < 1e-9:
        return []
    draws = resampled_configs(len(means))
    parts = []
    for name, knob in (("lr x alpha/r", product), ("lr", rates), ("alpha/r", scalings)):
        rank = _correlation(knob, means)
        ends = np.quantile([_correlation(knob[d], means[d]) for d in draws], [0.025, 0.975])
        parts.append(f"{name} {rank:+.2f} ({ends[0]:+.2f} to {ends[1]:+.2f})")
    return [f"rank correlation with the score (95 % interval): {', '.join(parts)}."]


def _correlation(knob: Floats, means: Floats) -> float:
    if np.ptp(knob) < 1e-9 or np.ptp(means) < 1e-12:
        return 0.0
    return float(spearmanr(knob, means).statistic)


def _hashable(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: "+".join(map(str, v)) if isinstance(v, tuple) else v for key, v in row.items()}


def _write_table(path: Path, rows: Sequence[Effect | Importance], kind: type) -> None:
    columns = [field.name for field in fields(kind)]
    table = pd.DataFrame([asdict(row) for row in rows], columns=columns)
    write_text(path, table.to_csv(index=False))
