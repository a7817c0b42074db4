"""What the searched settings do to the score, one by one and together."""

from __future__ import annotations

from sweep.stats.by_level import FactorScores, cells
from sweep.stats.levels import factor_of
from sweep.study.study import Study
from sweep.watch.report.figures import settings as figures
from sweep.watch.report.figures.parts import factor_name, scores_of
from sweep.watch.report.figures.scores import strip_plot
from sweep.watch.report.sections.parts import Plot, Section

_RANK, _ALPHA, _RATE = "lora.r", "lora.lora_alpha", "trainer.learning_rate"


def effects(study: Study) -> Section | None:
    """Scores by level of each setting, and the effects where they have been computed."""
    plots = [_strip(study, scores) for scores in study.searched_factors]
    if not plots:
        return None
    found = study.effects
    if found.effects:
        whole = Plot("All settings, with intervals", {"": figures.forest(found.effects)}, wide=True)
        plots = [whole, *plots]
    note = (
        "A thin line joins configs that differ in this setting alone. A bar is an average, "
        "balanced over the other settings where the sweep allows it, so that it may lie off its "
        "points; it is not a test."
        f"{_whose_scores(study)}"
    )
    title = "What each setting does"
    return Section("effects", title, sentences=found.sentences, note=note, plots=tuple(plots))


def importance(study: Study) -> Section | None:
    shares = study.effects.importances
    if not shares:
        return None
    plot = Plot("Importance", {"": figures.importance(shares)})
    note = (
        "Share of the scores’ variance that goes with a setting over the values that were "
        "searched; bar: bootstrap interval. A setting searched over a wide range looks important "
        "because the range is wide."
    )
    return Section("importance", "Which setting matters", note=note, plots=(plot,))


def together(study: Study) -> Section | None:
    """Parallel coordinates, r by alpha, scaling by learning rate: where they vary."""
    configs, factors = study.searched, [scores.factor for scores in study.searched_factors]
    if len(configs) < 3 or len(factors) < 2:
        return None
    plots = [Plot("Settings and score", {"": figures.parallel(configs, factors)}, wide=True)]
    plots += [*_rank_and_alpha(study), *_knob(study)]
    note = (
        "A line is a config; a click on the legend takes a fifth of them away. Lines that run "
        "together into the best scores show what the good configs share."
        f"{_whose_scores(study)}"
    )
    return Section("together", "Settings together", note=note, plots=tuple(plots))


def _rank_and_alpha(study: Study) -> list[Plot]:
    if not (_varies(study, _RANK) and _varies(study, _ALPHA)):
        return []
    rank, alpha = (
        factor_of(key, [row.values[key] for row in study.searched]) for key in (_RANK, _ALPHA)
    )
    found = cells(rank, alpha, scores_of(study.searched))
    return (
        [] if found is None else [Plot("r and alpha", {"": figures.score_grid(rank, alpha, found)})]
    )


def _knob(study: Study) -> list[Plot]:
    """Scaling and learning rate: under Adam nearly one knob."""
    if not _varies(study, _RATE):
        return []
    known = {row.config_id: row.scaling for row in study.runs}
    configs = study.searched
    up = [s for row in configs if (s := known.get(row.config_id)) is not None]
    if len(up) < len(configs) or len(set(up)) < 2:
        return []
    along = [float(row.values[_RATE]) for row in configs]
    titles = ("learning rate", "scaling (alpha / r)")
    title = "Scaling and learning rate: nearly one knob under Adam"
    return [Plot(title, {"": figures.score_map(configs, along, up, titles=titles)})]


def _varies(study: Study, key: str) -> bool:
    """Whether the configs that the search scored hold several values of this key."""
    return len({row.values[key] for row in study.searched if key in row.values}) > 1


def _strip(study: Study, scores: FactorScores) -> Plot:
    name = factor_name(scores.factor)
    return Plot(name, {name: strip_plot(study.searched, scores)}, scores)


def _whose_scores(study: Study) -> str:
    if not study.is_confirmed:
        return ""
    return " Scores are those of the search; those of fresh seeds rank the leaders and no more."
