"""What the searched settings do to the score, one by one and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean
from typing import Any

import pandas as pd

from sweep.watch.report.factors import Factor, Match, factor_of, matches
from sweep.watch.report.figures import settings as figures
from sweep.watch.report.figures.scores import strip_plot
from sweep.watch.report.sections.parts import Plot, Section
from sweep.watch.report.study import Study
from sweep.watch.report.words import short

#: Effects named in words; all are in the plot and in `effects.csv`.
_MAX_SENTENCES = 8


def effects(study: Study) -> Section | None:
    """Scores by level of each setting, and `effects.csv` where it has been computed."""
    plots = [_strip(study, factor) for factor in study.searched_factors]
    if not plots:
        return None
    table = study.effects
    sentences: tuple[str, ...] = ()
    if not table.empty:
        names = [
            f"{short(key)}: {level}" for key, level in zip(table.key, table.level, strict=True)
        ]
        whole = Plot("All settings, with intervals", {"": figures.forest(table, names)}, wide=True)
        plots = [whole, *plots]
        sentences = _sentences(table)
    note = (
        "A thin line joins configs that differ in this setting alone. A bar is an average, "
        "balanced over the other settings where the sweep allows it; it is not a test."
        f"{_whose_scores(study)}"
    )
    title = "What each setting does"
    return Section("effects", title, sentences=sentences, note=note, plots=tuple(plots))


def importance(study: Study) -> Section | None:
    shares = study.importance.sort_values("importance", ascending=False)
    if shares.empty:
        return None
    names = [short(str(key)) for key in shares["key"]]
    plot = Plot("Importance", {"": figures.importance(shares, names)})
    note = (
        "Share of the scores’ variance that goes with a setting over the values that were searched"
        f"{'; bar: bootstrap interval' if shares['ci_low'].notna().any() else ''}. A setting "
        "searched over a wide range looks important because the range is wide."
    )
    return Section("importance", "Which setting matters", note=note, plots=(plot,))


def together(study: Study) -> Section | None:
    """Parallel coordinates, r by alpha, scaling by learning rate: where they vary."""
    configs, factors = study.searched, study.searched_factors
    if len(configs) < 3 or len(factors) < 2:
        return None
    plots = [Plot("Settings and score", {"": figures.parallel(configs, factors)}, wide=True)]
    if study.varies("lora.r") and study.varies("lora.lora_alpha"):
        rank, alpha = (factor_of(configs, [key]) for key in ("lora.r", "lora.lora_alpha"))
        grid = figures.score_grid(configs, rank, alpha)
        if grid is not None:
            plots.append(Plot("r and alpha", {"": grid}))
    if study.varies("trainer.learning_rate"):
        plots += _knob(study)
    note = (
        "A line is a config; a click on the legend takes a fifth of them away. Lines that run "
        "together into the best scores show what the good configs share."
        f"{_whose_scores(study)}"
    )
    return Section("together", "Settings together", note=note, plots=tuple(plots))


def _knob(study: Study) -> list[Plot]:
    """Scaling and learning rate: under Adam nearly one knob."""
    configs = study.searched
    scaling = study.table.drop_duplicates("config_id").set_index("config_id").get("scaling")
    if scaling is None:
        return []
    up = configs["config_id"].map(scaling).astype(float).rename("scaling (alpha / r)")
    along = configs["trainer.learning_rate"].astype(float).rename("learning rate")
    if up.nunique() < 2 or up.isna().any():
        return []
    title = "Scaling and learning rate: nearly one knob under Adam"
    return [Plot(title, {"": figures.score_map(configs, along, up)})]


def _strip(study: Study, factor: Factor) -> Plot:
    joined = matches(study.searched, factor, study.searched_factors)
    averages = _averages(study.searched, factor, joined)
    figure = strip_plot(study.searched, factor, joined, averages)
    facts = _effect(study.searched, factor, joined, averages)
    return Plot(factor.name, {factor.name: figure}, facts)


def _whose_scores(study: Study) -> str:
    if not study.is_confirmed:
        return ""
    return " Scores are those of the search; those of fresh seeds rank the leaders and no more."


def _sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Each level below the best of its key, what can be told apart first."""
    said = []
    for key, levels in table.groupby("key", sort=False):
        best = levels.sort_values("mean")["level"].iloc[-1]
        for row in levels[levels["level"] != best].to_dict("records"):
            told = row["distinguishable"] is True
            said.append((not told, row["difference"], _sentence(str(key), str(best), row, told)))
    return tuple(sentence for *_, sentence in sorted(said)[:_MAX_SENTENCES])


def _sentence(key: str, best: str, row: Mapping[Any, Any], told: bool) -> str:
    interval = ""
    if pd.notna(row["ci_low"]):
        interval = f" (95 % interval {row['ci_low']:+.3f} to {row['ci_high']:+.3f})"
    verdict = "" if told else ": not distinguishable"
    return (
        f"{short(key)} {row['level']} against {best}: {row['difference']:+.3f}{interval}{verdict}."
    )


def _averages(configs: pd.DataFrame, factor: Factor, joined: list[Match]) -> dict[str, float]:
    """Mean score by level: over groups that hold every level, or over all configs without any."""
    full = [match for match in joined if len(match) == len(factor.levels)]
    if full:
        return {level: fmean(_mean(match[level]) for match in full) for level in factor.levels}
    means = configs["mean"].groupby(configs["config_id"].map(factor.level_of)).mean()
    return {level: float(means[level]) for level in factor.levels}


def _mean(scored: Sequence[tuple[str, float]]) -> float:
    return fmean(score for _, score in scored)


def _effect(
    configs: pd.DataFrame, factor: Factor, joined: list[Match], averages: Mapping[str, float]
) -> dict[str, Any]:
    """How far each level lies below the best one, or how a range goes with the score.

    `pairs` is the number of pairs of configs that differ in these two levels alone; without
    any, the averages are compared.
    """
    if factor.numbers is not None:
        ranks = configs["config_id"].map(factor.numbers).rank()
        correlation = ranks.corr(configs["mean"].rank())
        return {"correlation": float(correlation), "thirds": dict(averages)}
    best = max(factor.levels, key=lambda level: averages[level])
    below = []
    for level in factor.levels:
        pairs = [
            high - low
            for match in joined
            for (_, high), (_, low) in product(match.get(best, ()), match.get(level, ()))
        ]
        mean = fmean(pairs) if pairs else averages[best] - averages[level]
        wins = sum(difference > 0 for difference in pairs)
        below.append({"level": level, "mean": mean, "pairs": len(pairs), "wins": wins})
    others = [entry for entry in below if entry["level"] != best]
    return {"best": best, "below": sorted(others, key=lambda entry: entry["mean"])}
