"""The ranking of a study's configs and its verdict, from complete runs and their predictions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev

from sweep.core.metric import PEARSON, Metric
from sweep.core.recipe import Recipe
from sweep.core.words import settings_text
from sweep.loop.confirm import Confirming
from sweep.loop.trial import Run, RunState
from sweep.stats.comparison import Comparison
from sweep.stats.statistics import Sample
from sweep.stats.verdict import Contender, Verdict, judge, judged, ranked, unsteady_among
from sweep.stats.verdict_words import in_words
from sweep.study.files import StudyFiles
from sweep.study.looks import Looks
from sweep.study.own_rates import at_one_rate
from sweep.study.record import Record, ScoredRun, scored_runs
from sweep.study.rows import ConfigRow, searched
from sweep.study.samples import comparison_of, dev_labels, sample_of, seed_luck


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
    #: Configs with several seeds that tell the luck of the seed, where those ranked have one each.
    luck: tuple[Sample, ...] = ()
    #: Verdicts on the growing study, this one included.
    looks: int = 1

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
        counted = [
            pair
            for pair in runs
            if (search_seeds is None or _seed(pair) in search_seeds)
            or (unconfirmed is None and pair in fresh)
        ]
        found = _by_config(counted)
        contenders = [_contender(group, keys, last) for group in found.values()]
        recipes = {name: group[0][0].recipe for name, group in found.items()}
        trials = {name: group[0][0].trial for name, group in found.items()}
        return cls(tuple(ranked(contenders)), recipes, trials, folder, unconfirmed)

    @classmethod
    def of_records(
        cls,
        records: Iterable[Record],
        folder: Path,
        *,
        keys: Sequence[str],
        search_seeds: Collection[int] | None,
        confirming: Confirming | None = None,
        looks: Looks | None = None,
    ) -> Ranking:
        """Rank what the records of a study hold; arguments as for `of`.

        Args:
            looks: At the study so far.
        """
        known = list(records)
        found = cls.of(
            scored_runs(known),
            folder,
            keys=keys,
            search_seeds=search_seeds,
            confirming=confirming,
            ended=[r.run for r in known if r.state in (RunState.FAILED, RunState.PRUNED)],
        )
        number = looks.number(known, StudyFiles(folder)) if looks else 1
        return replace(found, looks=number)

    @classmethod
    def of_the_search(
        cls,
        records: Iterable[Record],
        folder: Path,
        *,
        keys: Sequence[str],
        search_seeds: Collection[int] | None,
        luck: Sequence[Sample] = (),
        looks: int = 1,
    ) -> Ranking:
        """By the search's runs alone, also where others confirm the leaders.

        Args:
            luck: Configs with several seeds: by them the luck of one seed is known.
            looks: Verdicts on the growing study, this one included.
        """
        kept = [
            pair
            for pair in scored_runs(records)
            if search_seeds is None or _seed(pair) in search_seeds
        ]
        found = cls.of(kept, folder, keys=keys, search_seeds=None)
        return replace(found, luck=tuple(luck), looks=looks)

    @property
    def metric(self) -> Metric:
        """That the scores are of: one for all configs of a study."""
        return next((r.task.measure for r in self.recipes.values()), PEARSON)

    @cached_property
    def leaders(self) -> Comparison | None:
        """The configs that the verdict is about: the first ones."""
        leading = judged(self.contenders)
        return self._compared(leading)

    @cached_property
    def others(self) -> Comparison | None:
        """Those that were not confirmed, where some were."""
        rest = self.contenders[len(judged(self.contenders)) :]
        return self._compared(rest)

    def _compared(self, group: Sequence[Contender]) -> Comparison | None:
        rivals = len(self.contenders)
        luck = self.luck or self.several_seeds
        return comparison_of(
            group,
            self.folder,
            num_rivals=rivals,
            luck=luck,
            looks=self.looks,
            metric=self.metric,
        )

    def rows(self, keys: Sequence[str]) -> list[ConfigRow]:
        """Rows of the leaderboard."""
        leading = len(judged(self.contenders))
        tied: list[bool | None] = [None] * len(self.contenders)
        if self.leaders is not None:
            tied[:leading] = self.leaders.tied.tolist()
        ends = [*_intervals(self.leaders, leading)]
        ends += _intervals(self.others, len(self.contenders) - leading)
        placed = zip(self.contenders, tied, ends, strict=True)
        return [
            ConfigRow(
                rank=rank,
                config_id=config.config_id,
                trial=self.trials[config.config_id],
                n_seeds=len(config.seeds),
                mean=config.mean,
                values=searched(self.recipes[config.config_id], keys),
                std=stdev(config.scores) if len(config.scores) > 1 else None,
                ci_low=low,
                ci_high=high,
                tied_with_best=is_tied,
                lora_params=config.lora_params,
                train_seconds=config.train_seconds,
                confirmed=config.confirmed,
                search_mean=config.search_mean,
                unsteady=self.unsteady.get(config.config_id),
            )
            for rank, (config, is_tied, (low, high)) in enumerate(placed, 1)
        ]

    def sample(self, config: Contender) -> Sample:
        """Dev predictions of the runs that a config's place rests on.

        Raises:
            StudyError: some are gone or damaged.
        """
        return sample_of(config.config_id, self.folder, config.seeds, of=dev_labels(self.folder))

    @cached_property
    def several_seeds(self) -> tuple[Sample, ...]:
        """Dev predictions of the configs that have several seeds, all of those: by them the luck
        of the seed is known."""
        seeds = {c.config_id: c.all_seeds or c.seeds for c in self.contenders}
        return tuple(seed_luck(seeds, self.folder))

    @cached_property
    def unsteady(self) -> Mapping[str, str]:
        """Configs that collapse on some seeds: ids, and on how many."""
        return unsteady_among(self.contenders, widest=self.metric.high - self.metric.low)

    def verdict(self, *, baseline: str | None) -> Verdict | None:
        """The verdict in numbers and words; None before the first score."""
        found = judge(self.contenders, self.leaders, baseline=baseline)
        if found is None:
            return None
        low, high = _intervals(self.leaders, 1)[0]
        return in_words(
            found,
            self.contenders,
            interval=None if low is None or high is None else (low, high),
            unconfirmed=self.unconfirmed,
            caveat=at_one_rate(list(self.recipes.values())),
            metric=self.metric.word,
        )


def words(recipe: Recipe, keys: Sequence[str]) -> str:
    """A config for people: `r=8 alpha=16 on qv`."""
    return settings_text({key: recipe.value_of(key) for key in keys}, none="the config")


def _by_config(runs: Sequence[ScoredRun]) -> dict[str, list[ScoredRun]]:
    found: dict[str, list[ScoredRun]] = {}
    for pair in runs:
        found.setdefault(pair[0].recipe.config_id, []).append(pair)
    return found


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
        all_scores=tuple(_score(pair) for pair in group),
    )


def _intervals(
    comparison: Comparison | None, count: int
) -> list[tuple[float | None, float | None]]:
    if comparison is None:
        return [(None, None)] * count
    return [(float(low), float(high)) for low, high in comparison.intervals()[:count]]


def _seed(pair: ScoredRun) -> int:
    return pair[0].recipe.seed


def _score(pair: ScoredRun) -> float:
    score = pair[1].score
    assert score is not None
    return score
