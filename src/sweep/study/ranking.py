"""The ranking of a study's configs and its verdict, from complete runs and their predictions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.errors import StudyError
from sweep.core.files import read_floats
from sweep.core.recipe import Recipe
from sweep.loop.confirm import Confirming
from sweep.loop.trial import Outcome, Run
from sweep.space.space import label_of
from sweep.stats.comparison import Comparison
from sweep.stats.statistics import Sample, compare
from sweep.stats.verdict import Contender, Verdict, judge, judged, ranked
from sweep.stats.verdict_words import in_words

logger = logging.getLogger(__name__)

#: A complete run with its score.
ScoredRun = tuple[Run, Outcome]

_SHORT = {"lora.lora_alpha": "alpha", "lora.lora_dropout": "dropout", "trainer.learning_rate": "lr"}


@dataclass(frozen=True)
class Ranking:
    """Configs in order, best first, with their errors where predictions are at hand.

    `folder` is the study's, where predictions and dev labels lie.
    """

    contenders: tuple[Contender, ...]
    recipes: Mapping[str, Recipe]
    trials: Mapping[str, int]
    folder: Path
    #: Of a confirmation that does not count yet: runs done, and runs in all.
    unconfirmed: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        runs: Sequence[ScoredRun],
        folder: Path,
        *,
        keys: Sequence[str],
        search_seeds: Collection[int] | None,
        confirming: Confirming | None = None,
        ended: Sequence[Run] = (),
    ) -> Ranking:
        """Rank the configs of these complete runs.

        Args:
            folder: The study's folder, where predictions and dev labels lie.
            keys: Searched keys, for the configs' names.
            search_seeds: Runs on later seeds are confirmation runs; None: there are none.
            confirming: What is confirmed; None: the configs with confirmation runs. While it
                is not far enough to count, the search's runs rank alone.
            ended: Runs that have no score, and none to come.
        """
        last = None if search_seeds is None else max(search_seeds)
        fresh = [pair for pair in runs if last is not None and _seed(pair) > last]
        planned = confirming.after(last) if confirming and last is not None else None
        unconfirmed = _unconfirmed(fresh, planned, ended)
        found: dict[str, list[ScoredRun]] = {}
        for pair in runs:
            is_counted = search_seeds is None or _seed(pair) in search_seeds
            if is_counted or (unconfirmed is None and pair in fresh):
                found.setdefault(pair[0].recipe.config_id, []).append(pair)
        contenders = [_contender(group, keys, last) for group in found.values()]
        return cls(
            tuple(ranked(contenders)),
            {name: group[0][0].recipe for name, group in found.items()},
            {name: group[0][0].trial for name, group in found.items()},
            folder,
            unconfirmed,
        )

    @cached_property
    def leaders(self) -> Comparison | None:
        """The configs that the verdict is about: the first ones."""
        return _comparison(judged(self.contenders), self.folder, num_rivals=len(self.contenders))

    @cached_property
    def others(self) -> Comparison | None:
        """Those that were not confirmed, where some were."""
        rest = self.contenders[len(judged(self.contenders)) :]
        return _comparison(rest, self.folder, num_rivals=len(self.contenders))

    def rows(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of `leaderboard.csv`; missing is None."""
        leading = len(judged(self.contenders))
        tied: list[bool | None] = [None] * len(self.contenders)
        if self.leaders is not None:
            tied[:leading] = self.leaders.tied.tolist()
        ends = [*_intervals(self.leaders, leading)]
        ends += _intervals(self.others, len(self.contenders) - leading)
        return [
            {
                "rank": rank,
                "config_id": config.config_id,
                "trial": self.trials[config.config_id],
                "n_seeds": len(config.seeds),
                "mean": config.mean,
                "std": stdev(config.scores) if len(config.scores) > 1 else None,
                "ci_low": low,
                "ci_high": high,
                "tied_with_best": is_tied,
                **searched(self.recipes[config.config_id], keys),
                "lora_params": config.lora_params,
                "train_seconds": config.train_seconds,
                "confirmed": config.confirmed,
                "search_mean": config.search_mean,
            }
            for rank, (config, is_tied, (low, high)) in enumerate(
                zip(self.contenders, tied, ends, strict=True), 1
            )
        ]

    def verdict(self, *, baseline: str | None) -> Verdict | None:
        """The verdict in numbers and words; None before the first score."""
        found = judge(self.contenders, self.leaders, baseline=baseline)
        if found is None:
            return None
        low, high = _intervals(self.leaders, 1)[0]
        interval = None if low is None or high is None else (low, high)
        return in_words(found, self.contenders, interval=interval, unconfirmed=self.unconfirmed)


def seed_luck(seeds: Mapping[str, Collection[int]], folder: Path) -> list[Sample]:
    """Dev predictions of the configs of a study that have several seeds.

    Args:
        seeds: With a complete run, by `config_id`.
        folder: The study's; a config whose predictions are not at hand is left out.
    """
    found = []
    for config_id, known in seeds.items():
        if len(known) > 1:
            with suppress(StudyError):
                ordered = tuple(sorted(known))
                found.append(Sample(ordered, _predictions(config_id, folder, ordered)))
    return found


def searched(recipe: Recipe, keys: Sequence[str]) -> dict[str, Any]:
    """The searched keys and their values, lists as text."""
    values = {key: recipe.value_of(key) for key in keys}
    return {k: label_of(v) if isinstance(v, tuple) else v for k, v in values.items()}


def words(recipe: Recipe, keys: Sequence[str]) -> str:
    """A config for people: `r=8 alpha=16 on qv`."""
    values = searched(recipe, keys)
    targets = values.pop("lora.target_modules", None)
    parts = [
        f"{_SHORT.get(key, key.rpartition('.')[2])}="
        + (f"{value:.3g}" if isinstance(value, float) else label_of(value))
        for key, value in values.items()
    ]
    parts += [f"on {targets}"] if targets else []
    return " ".join(parts) or "the config"


def _unconfirmed(
    fresh: Sequence[ScoredRun], confirming: Confirming | None, ended: Sequence[Run]
) -> tuple[int, int] | None:
    """How far a confirmation is that does not count yet; None where it does, or there is none."""
    scored = [run for run, _ in fresh]
    confirming = confirming or Confirming.of((r.recipe.config_id, r.recipe.seed) for r in scored)
    done = _seeds_of(scored)
    return None if confirming.counts(done, _seeds_of(ended)) else confirming.progress(done)


def _seeds_of(runs: Iterable[Run]) -> dict[str, list[int]]:
    """By `config_id`."""
    found: dict[str, list[int]] = {}
    for run in runs:
        found.setdefault(run.recipe.config_id, []).append(run.recipe.seed)
    return found


def _contender(group: Sequence[ScoredRun], keys: Sequence[str], last: int | None) -> Contender:
    """A config; its runs on seeds behind the search's last take the place of the search's."""
    fresh = [pair for pair in group if last is not None and _seed(pair) > last]
    search = [pair for pair in group if pair not in fresh]
    counted = fresh or search
    recipe = group[0][0].recipe
    seconds = [o.train_seconds for _, o in group if o.train_seconds is not None]
    return Contender(
        recipe.config_id,
        words(recipe, keys),
        seeds=tuple(_seed(pair) for pair in counted),
        scores=tuple(_score(pair) for pair in counted),
        lora_params=group[0][1].lora_params,
        train_seconds=fmean(seconds) if seconds else None,
        search_mean=fmean(map(_score, search)) if search else None,
        confirmed=bool(fresh),
        all_seeds=tuple(_seed(pair) for pair in group),
    )


def _comparison(group: Sequence[Contender], folder: Path, *, num_rivals: int) -> Comparison | None:
    """None where predictions are not at hand."""
    path = folder / "dev_labels.npy"
    if not group or not path.exists():
        return None
    try:
        labels = read_floats(path)
        samples = [Sample(c.seeds, _predictions(c.config_id, folder, c.seeds)) for c in group]
        noise_from = _with_all_seeds(group, folder)
    except StudyError as error:
        logger.warning("No intervals in the leaderboard: %s", error.value)
        return None
    return compare(samples, labels, num_rivals=num_rivals, noise_from=noise_from)


def _with_all_seeds(group: Sequence[Contender], folder: Path) -> list[Sample] | None:
    """Confirmed configs with the runs of the search as well; None where there is nothing to add."""
    seeds = [c.all_seeds or c.seeds for c in group]
    if seeds == [c.seeds for c in group]:
        return None
    return [
        Sample(known, _predictions(config.config_id, folder, known))
        for config, known in zip(group, seeds, strict=True)
    ]


def _predictions(config_id: str, folder: Path, seeds: Sequence[int]) -> Floats:
    runs = [folder / "runs" / f"{config_id}-s{seed}" for seed in seeds]
    return np.stack([read_floats(run / "predictions.npy") for run in runs])


def _intervals(
    comparison: Comparison | None, count: int
) -> list[tuple[float | None, float | None]]:
    if comparison is None:
        return [(None, None)] * count
    return [(float(low), float(high)) for low, high in comparison.intervals()[:count]]


def _seed(pair: ScoredRun) -> int:
    return pair[0].recipe.seed


def _score(pair: ScoredRun) -> float:
    score = pair[1].pearson
    assert score is not None
    return score
