"""What the frozen base scores without LoRA, beside the recommended config: scored once a study."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from sweep.core.recipe import Recipe, fingerprint
from sweep.data.findings import Split
from sweep.data.pairs import load_split
from sweep.execute.fresh import in_fresh_process
from sweep.export.test_scores import splits_set_aside
from sweep.stats.paired import difference_of_studies, mean_pearson
from sweep.stats.statistics import Sample
from sweep.study.baselines import Baselines, BaselineScore, read_baselines, write_baselines
from sweep.study.ranking import Ranking
from sweep.study.samples import dev_labels
from sweep.study.tables import Results
from sweep.train.baselines import Untrained, score_baselines
from sweep.train.scores import scores, why_no_score

logger = logging.getLogger(__name__)


def update_baselines(results: Results, kinds: Sequence[str], *, threads: int) -> Baselines | None:
    """Score what is asked for, unless an earlier start has, beside the recommended config.

    A base that can't be scored so leaves a word in the log, and the sweep as it is.
    """
    best = results.best_run()
    if best is None or not kinds:
        return None
    recipe, earlier = best.recipe, read_baselines(results.files)
    splits: tuple[Split, ...] = ("dev", *splits_set_aside(recipe.data))
    digest = _digest(recipe, kinds, splits)
    if earlier is None or earlier.digest != digest:
        try:
            found = in_fresh_process(score_baselines, recipe, tuple(kinds), splits, threads)
            scored = (_scored(one, recipe) for one in found if _varies(one, recipe))
            earlier = Baselines(digest, tuple(scored))
        except Exception as error:
            logger.warning("The frozen base could not be scored without LoRA: %s", error)
            return None
    compared = _beside_the_recommended(earlier, results.ranking(), recipe.config_id)
    write_baselines(results.files, compared)
    return compared


def _digest(recipe: Recipe, kinds: Sequence[str], splits: Sequence[Split]) -> str:
    """Of all that decides the scores."""
    pairs = {split: load_split(recipe.data, split).digest() for split in ("train", *splits)}
    model = dataclasses.asdict(recipe.model)
    return fingerprint([model, pairs, list(kinds), recipe.data.max_length])


def _varies(found: Untrained, recipe: Recipe) -> bool:
    """Whether its predictions have a correlation: of constant ones there is nothing to say."""
    labels = load_split(recipe.data, "dev").labels
    assert labels is not None
    return why_no_score(found.predictions["dev"], labels) is None


def _scored(found: Untrained, recipe: Recipe) -> BaselineScore:
    intervals = {}
    for split, predictions in found.predictions.items():
        labels = load_split(recipe.data, split).labels
        assert labels is not None
        intervals[split] = mean_pearson([predictions], labels)
        if split == "dev":
            _, spearman = scores(predictions, labels)
    return BaselineScore(
        found.kind,
        found.how,
        intervals["dev"],
        spearman,
        found.params,
        found.seconds,
        test=intervals.get("test"),
        values=tuple(found.predictions["dev"].tolist()),
    )


def _beside_the_recommended(found: Baselines, ranking: Ranking, config_id: str) -> Baselines:
    config = next(c for c in ranking.contenders if c.config_id == config_id)
    labels = dev_labels(ranking.folder)
    compared = []
    for score in found.scores:
        lead = None
        if labels is not None:
            other = Sample((0,), np.array([score.values]))
            luck = (ranking.several_seeds, ())
            lead = difference_of_studies(ranking.sample(config), other, labels, luck=luck)
        compared.append(dataclasses.replace(score, lead=lead))
    return dataclasses.replace(
        found,
        scores=tuple(compared),
        config_id=config_id,
        config=config.label,
        mean=config.mean,
    )
