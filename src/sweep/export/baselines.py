"""What the base scores without LoRA, beside the recommended config: scored once a study."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.fingerprint import fingerprint
from sweep.core.recipe import Recipe
from sweep.core.task import Task
from sweep.data.findings import Split
from sweep.data.pairs import load_split
from sweep.execute.fresh import in_fresh_process
from sweep.export.full_tuning import lead_over_full, score_of_full
from sweep.export.test_scores import splits_set_aside
from sweep.stats.interval import Interval
from sweep.stats.paired import difference_of_studies, mean_score
from sweep.stats.statistics import Sample
from sweep.stats.verdict import Contender
from sweep.study.baselines import (
    FROZEN,
    Baselines,
    BaselineScore,
    Cost,
    LeftOut,
    write_baselines,
)
from sweep.study.full_runs import FullPlan
from sweep.study.ranking import Ranking
from sweep.study.samples import dev_labels
from sweep.study.tables import Results
from sweep.train.baselines import Untrained, score_baselines
from sweep.train.scores import scores, why_no_score

logger = logging.getLogger(__name__)


def frozen_kinds(task: Task, *, cosine: bool, head: bool) -> list[str]:
    """Baselines without training of the base that make sense for a task.

    Args:
        cosine, head: Whether they are asked for. Beside a head on classes stands the majority.
    """
    if task.of_classes:
        return ["head", "majority"] if head else []
    likeness = cosine and task.kind == "similarity"
    return [kind for kind, wanted in (("cosine", likeness), ("head", head)) if wanted]


def update_baselines(
    results: Results, kinds: Sequence[str], *, full: FullPlan | None, threads: int
) -> Baselines | None:
    """Score what is asked for, unless an earlier start has, beside the recommended config.

    A base that can't be scored so leaves a word in the log, and the sweep as it is.

    Args:
        kinds: Of those that leave the base as it is.
        full: What was trained in full; None where nothing was.
    """
    best = results.best_run()
    if best is None or not (kinds or full):
        return None
    found = _frozen(results, best.recipe, kinds, threads)
    if full is not None:
        found = _with(found, score_of_full(results, full, threads=threads))
    compared = _beside_the_recommended(found, results, best.recipe.config_id)
    write_baselines(results.files, compared, results.metric)
    # Their rows follow.
    results.write_tables()
    return compared


def _frozen(results: Results, recipe: Recipe, kinds: Sequence[str], threads: int) -> Baselines:
    """What the base scores as it is, by an earlier start or now."""
    splits: tuple[Split, ...] = ("dev", *splits_set_aside(recipe.data))
    digest = _digest(recipe, kinds, splits)
    earlier = results.baselines()
    if earlier is not None and earlier.digest == digest:
        return earlier.of(FROZEN)
    if not kinds:
        return Baselines(digest, ())
    try:
        found = in_fresh_process(score_baselines, recipe, tuple(kinds), splits, threads)
        none = [LeftOut(one.kind, why) for one in found if (why := _why_none(one, recipe))]
        out = {one.kind for one in none}
        scored = tuple(_scored(one, recipe) for one in found if one.kind not in out)
    except Exception as error:
        logger.warning("The frozen base could not be scored without LoRA: %s", error)
        return Baselines("", ())
    return Baselines(digest, scored, left_out=tuple(none))


def _with(found: Baselines, full: BaselineScore | LeftOut) -> Baselines:
    if isinstance(full, LeftOut):
        return dataclasses.replace(found, left_out=(*found.left_out, full))
    return dataclasses.replace(found, scores=(*found.scores, full))


def _digest(recipe: Recipe, kinds: Sequence[str], splits: Sequence[Split]) -> str:
    """Of all that decides the scores."""
    pairs = {split: load_split(recipe.data, split).digest() for split in ("train", *splits)}
    template = [recipe.data.template] if recipe.data.template else []
    classes = [recipe.data.classes] if recipe.data.classes else []
    length = recipe.data.max_length
    return fingerprint([recipe.model.identity, pairs, list(kinds), length, *template, *classes])


def _why_none(found: Untrained, recipe: Recipe) -> str | None:
    """Why its predictions have no correlation: of constant ones there is nothing to say."""
    labels = load_split(recipe.data, "dev").labels
    assert labels is not None
    return why_no_score(found.predictions["dev"], labels, recipe.task.measure)


def _scored(found: Untrained, recipe: Recipe) -> BaselineScore:
    intervals, metric = {}, recipe.task.measure
    for split, predictions in found.predictions.items():
        labels = load_split(recipe.data, split).labels
        assert labels is not None
        intervals[split] = mean_score([predictions], labels, metric)
        if split == "dev":
            _, beside = scores(predictions, labels, metric)
    return BaselineScore(
        found.kind,
        found.how,
        intervals["dev"],
        beside,
        found.params,
        found.seconds,
        test=intervals.get("test"),
        memory_mb=found.memory_mb,
        values=tuple(found.predictions["dev"].tolist()),
    )


def _beside_the_recommended(found: Baselines, results: Results, config_id: str) -> Baselines:
    ranking, labels = results.ranking(), dev_labels(results.folder)
    config = next(c for c in ranking.contenders if c.config_id == config_id)
    if labels is not None:
        own = ranking.sample(config)
        leads = [_lead(score, ranking, own, labels, results) for score in found.scores]
    else:
        leads = [None] * len(found.scores)
    return dataclasses.replace(
        found,
        scores=tuple(
            dataclasses.replace(score, lead=lead)
            for score, lead in zip(found.scores, leads, strict=True)
        ),
        config_id=config_id,
        config=config.label,
        mean=config.mean,
        cost=_cost(results, config),
    )


def _lead(
    score: BaselineScore, ranking: Ranking, own: Sample, labels: Floats, results: Results
) -> Interval | None:
    """LoRA's config minus this one."""
    if score.seeds:
        return lead_over_full(score, ranking, own, labels, results)
    other = Sample((0,), np.array([score.values]))
    return difference_of_studies(
        own, other, labels, luck=(ranking.several_seeds, ()), metric=results.metric
    )


def _cost(results: Results, config: Contender) -> Cost:
    """Of one run of the config."""
    ids = {f"{config.config_id}-s{seed}" for seed in config.seeds}
    outcomes = [r.outcome for r in results.records() if r.run.id in ids and r.outcome]
    peaks = [o.peak_memory_mb for o in outcomes if o.peak_memory_mb is not None]
    params = next((o.trained for o in outcomes), None)
    return Cost(params, config.train_seconds, max(peaks, default=None))
