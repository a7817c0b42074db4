"""The score of full fine-tuning, from its runs: on dev as LoRA's, and on what was set aside."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.errors import UserMistake
from sweep.core.files import read_floats, replacing_file
from sweep.data.findings import Split
from sweep.data.pairs import load_split
from sweep.export.scoring import Scoring, Trained, scored
from sweep.export.test_scores import splits_set_aside
from sweep.loop.trial import Outcome, Run
from sweep.stats.interval import Interval
from sweep.stats.paired import SeedLuck, mean_score, mean_with_luck, paired_difference
from sweep.stats.statistics import Sample
from sweep.study.baselines import BaselineScore, LeftOut
from sweep.study.full_runs import FullPlan
from sweep.study.ranking import Ranking
from sweep.study.samples import dev_labels, sample_of
from sweep.study.tables import Results

logger = logging.getLogger(__name__)

_KIND = "full"


def score_of_full(results: Results, plan: FullPlan, *, threads: int) -> BaselineScore | LeftOut:
    """What the runs of the plan have come to, or why nothing can be said of them yet.

    Weights are kept no longer than it takes to score test and held-out pairs with them.
    """
    waiting, rate = plan.waiting(results.full), plan.best_rate(results.full)
    seeds = plan.scored_seeds(rate, results.full) if rate is not None else ()
    labels = dev_labels(results.folder)
    if waiting or rate is None or not seeds or labels is None:
        return LeftOut(_KIND, _why_not(results, plan, waiting))
    runs = [plan.run(rate, seed) for seed in seeds]
    outcomes = [o for run in runs if (o := results.full.done(run.id)) is not None]
    sample = sample_of(runs[0].recipe.config_id, results.files.full.folder, seeds)
    aside = _set_aside(results, runs, threads)
    _forget_weights(results)
    return BaselineScore(
        _KIND,
        _how(plan, rate, seeds),
        mean_with_luck(
            sample, labels, luck=_luck(results.ranking(), sample), metric=results.metric
        ),
        fmean(o.beside for o in outcomes if o.beside is not None),
        outcomes[0].trained or 0,
        fmean(o.train_seconds for o in outcomes if o.train_seconds is not None),
        test=aside.get("test"),
        memory_mb=_peak(outcomes),
        config_id=runs[0].recipe.config_id,
        seeds=seeds,
        runs=tuple(o.score for o in outcomes if o.score is not None),
        learning_rate=rate,
    )


def lead_over_full(
    score: BaselineScore, ranking: Ranking, own: Sample, labels: Floats, results: Results
) -> Interval:
    """LoRA's config minus full fine-tuning, paired on the pairs and on the seeds of both."""
    assert score.config_id is not None
    other = sample_of(score.config_id, results.files.full.folder, score.seeds)
    known = _luck(ranking, other)
    luck = SeedLuck(known, labels) if known else None
    return paired_difference(own, other, labels, luck=luck, metric=results.metric)


def _luck(ranking: Ranking, sample: Sample) -> tuple[Sample, ...]:
    """Configs that tell the luck of the seed: LoRA's, and this one where it has several."""
    return (*ranking.several_seeds, *([sample] if len(sample.seeds) > 1 else []))


def _why_not(results: Results, plan: FullPlan, waiting: int) -> str:
    if waiting:
        return f"{waiting} of its {plan.num_runs} runs are yet to be trained"
    reasons = [r.outcome.reason for r in results.full.records() if r.outcome and r.outcome.reason]
    return reasons[-1] if reasons else "none of its runs has a score"


def _how(plan: FullPlan, rate: float, seeds: Sequence[int]) -> str:
    at = f"learning rate {rate:g}"
    if len(plan.rates) > 1:
        end = {max(plan.rates): ", the highest", min(plan.rates): ", the lowest"}.get(rate, "")
        at += f", the best of {len(plan.rates)} on dev{end}"
    of = f"; mean of {len(seeds)} seeds" if len(seeds) > 1 else ""
    lost = len(plan.seeds) - len(seeds)
    return f"{at}, in float32{of}{f', {lost} failed' if lost else ''}"


def _peak(outcomes: Sequence[Outcome]) -> float | None:
    return max((o.peak_memory_mb for o in outcomes if o.peak_memory_mb is not None), default=None)


def _set_aside(results: Results, runs: Sequence[Run], threads: int) -> dict[Split, Interval]:
    """Scores on pairs that nobody has looked at; none where the weights are gone."""
    found: dict[Split, Interval] = {}
    for split in splits_set_aside(runs[0].recipe.data):
        pairs = load_split(runs[0].recipe.data, split)
        assert pairs.labels is not None
        files = [results.files.full.run(run.id) for run in runs]
        paths = [file.set_aside(pairs.digest()) for file in files]
        wanted = [
            run
            for run, file, path in zip(runs, files, paths, strict=True)
            if not path.is_file() and file.model.is_dir()
        ]
        adapters = tuple(Trained.of(run, results.files.full.folder) for run in wanted)
        try:
            answers = scored([Scoring(split, pairs, adapters)], processes=1, threads=threads)
        except UserMistake as error:
            logger.warning("Full fine-tuning has no score on %s: %s", split, error)
            continue
        for run_id, values in answers[split].items():
            path = results.files.full.run(run_id).set_aside(pairs.digest())
            with replacing_file(path) as new:
                np.save(new, values)
        if all(path.is_file() for path in paths):
            found[split] = mean_score(
                [read_floats(path) for path in paths], pairs.labels, results.metric
            )
    return found


def _forget_weights(results: Results) -> None:
    """They are as large as the base, and never exported."""
    for record in results.full.records():
        shutil.rmtree(results.files.full.run(record.run.id).model, ignore_errors=True)
