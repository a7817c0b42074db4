"""Two studies of one task: whether the config that one chose is better than that of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.core.arrays import Floats
from sweep.core.metric import PEARSON, Metric
from sweep.stats.interval import Interval
from sweep.stats.paired import difference_of_studies
from sweep.stats.statistics import Sample, compare


@dataclass(frozen=True, eq=False)
class ChosenConfig:
    """The config that a study chose, with the dev predictions that its place rests on.

    `several_seeds` are the configs of the study that have several seeds, which tell how far those
    matter; `labels` `[N]` are of the dev pairs.
    """

    study: str
    sample: Sample
    several_seeds: Sequence[Sample]
    labels: Floats
    metric: Metric = PEARSON

    @property
    def score(self) -> Interval:
        """Of this config alone."""
        found = compare([self.sample], self.labels, metric=self.metric)
        low, high = found.intervals()[0]
        return Interval(float(found.means[0]), float(low), float(high))


def lead(one: ChosenConfig, other: ChosenConfig) -> Interval:
    """By how much one is ahead of the other, paired on the dev pairs, which are the same."""
    luck = (one.several_seeds, other.several_seeds)
    return difference_of_studies(one.sample, other.sample, one.labels, luck=luck, metric=one.metric)


def lead_in_words(one: ChosenConfig, other: ChosenConfig) -> str:
    """Which config is better on these dev pairs, or that it can't be told."""
    gap = lead(one, other)
    if not gap.is_clear:
        said = f"can't be told apart: {one.study} minus {other.study} is"
    else:
        first, second = (one, other) if gap.value > 0 else (other, one)
        gap = gap if gap.value > 0 else lead(first, second)
        said = f"{first.study} is better than {second.study} by"
    blind = [config.study for config in (one, other) if not config.several_seeds]
    unknown = "; one seed each, so luck of the seed is not in it" if len(blind) == 2 else ""
    if len(blind) == 1:
        unknown = f"; the luck of the seed is not in it for {blind[0]}, with one seed each"
    size = f"{gap.as_difference} dev {one.metric.word}, paired on {len(one.labels):,} pairs"
    return f"{said} {size}{unknown}"
