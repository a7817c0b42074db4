"""What goes together with the task: its metric, its objective, what a row holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweep.config.schema import SearchSettings, Settings
from sweep.core.errors import ConfigError
from sweep.core.metric import OF_CLASSES, OF_SCORES, Metric
from sweep.core.task import Task

_USUAL = SearchSettings().objectives
#: One study answers one question: scores of two could not be ranked.
_OF_THE_STUDY = ("task.kind", "task.metric", "data.classes", "data.text_b", "data.label")


def with_objective(settings: Settings, *, given: Sequence[str]) -> Settings:
    """Seeks the task's metric where nothing else was asked for.

    Args:
        given: Keys that are set on the command line.

    Raises:
        ConfigError: the task has no such metric.
    """
    metric = metric_of(settings.task)
    if settings.search.objectives != _USUAL or "search.objectives" in given:
        return settings
    return replace(settings, search=replace(settings.search, objectives=(metric.objective,)))


def metric_of(task: Task) -> Metric:
    """The task's metric.

    Raises:
        ConfigError: it has none of this name.
    """
    known = OF_CLASSES if task.of_classes else OF_SCORES
    try:
        metric = task.measure
    except KeyError:
        metric = None
    if metric is None or (metric.source is None and metric.name not in known):
        raise ConfigError(
            f"`task.metric` of `task.kind={task.kind}` must be one of {', '.join(known)}, or a "
            "function of yours, as `module:function`.",
            value=task.metric,
            way_out=f"`task={task.kind}` sets the kind and a metric; then `task.metric=...`",
        )
    return metric


def check_task(settings: Settings) -> None:
    """Refuse tasks that can't be trained, or compared.

    Raises:
        ConfigError: names the rule, the value and the way out.
    """
    searched = settings.space.keys
    for key in _OF_THE_STUDY:
        if key in searched:
            raise ConfigError(
                f"`{key}` can't be searched: a study answers one question.",
                value=f"{key} in `search.space`",
                way_out="run a study for each",
            )
    task, data = settings.task, settings.data
    if data.classes is not None and not task.of_classes:
        raise ConfigError(
            "`data.classes` belongs to `task.kind=classification`.",
            value=f"data.classes={list(data.classes)} with task.kind={task.kind}",
            way_out="set `task=classification`, or `data.classes=null`",
        )
    _check_bi(settings)
    if task.kind == "similarity" and data.text_b is None:
        raise ConfigError(
            "`task.kind=similarity` needs two sentences.",
            value="data.text_b=null",
            way_out="set `task=regression` to score single sentences, or `task=classification`",
        )
    for key in ("split_text", "template"):
        if data.text_b is None and getattr(data, key):
            raise ConfigError(
                f"`data.{key}` is for rows of two sentences.",
                value=f"data.{key}={getattr(data, key)!r} with data.text_b=null",
                way_out=f"set `data.{key}=null`",
            )


def _check_bi(settings: Settings) -> None:
    """A cosine is a score of two sentences."""
    if settings.task.kind == "similarity":
        return
    values = [recipe.task.encoder for _, recipe in settings.configs()]
    if "bi" in values:
        raise ConfigError(
            "`task.encoder=bi` scores the likeness of two sentences.",
            value=f"task.kind={settings.task.kind}",
            way_out="set `task.encoder=cross`, or `task=similarity`",
        )
