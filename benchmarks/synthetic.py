"""Synthetic sweeps: configs with a true Pearson that can be trained on any seed, on one dev set.

A task has 519 dev pairs (KLUE-STS), configs with a true Pearson near 0.85, and prediction errors of
which 85 % are common to all runs, 7 % are their config's and 8 % are each run's own; a seed moves
the true score of a run as well, in part for all configs alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np

from sweep.core.arrays import Floats
from sweep.stats.comparison import Comparison
from sweep.stats.statistics import Sample, compare
from sweep.stats.verdict import Contender, Verdict, judge, judged, ranked

NUM_PAIRS = 519
TRUE_PEARSON = 0.85
COMMON, OF_CONFIG, OF_RUN = 0.85, 0.07, 0.08
ERROR_SHARES = {"common": COMMON, "of_config": OF_CONFIG, "of_run": OF_RUN}
#: Share of the seed's variance that is the same for all configs.
SHARED_LUCK = 0.3
#: Seeds over which a config's expected score on the dev pairs is averaged.
MANY_SEEDS = 60
BASELINE = 0


@dataclass(frozen=True)
class Design:
    """A kind of sweep.

    `spread` is the SD of the configs' true scores, 0 for an A/A sweep; `lead` is put on config 1
    alone. With `confirm` seeds the three best by search and the baseline are trained again. `wild`
    configs have `times` the seed SD of the others.
    """

    configs: int
    seeds: int
    seed_sd: float
    spread: float = 0.0
    lead: float = 0.0
    confirm: int = 0
    wild: tuple[int, ...] = ()
    times: float = 1.0
    pairs: int = NUM_PAIRS


@dataclass
class Task:
    """A dev set, and configs that can be trained on any seed."""

    design: Design
    rng: np.random.Generator
    truth: Floats = field(init=False)
    labels: Floats = field(init=False)

    def __post_init__(self) -> None:
        configs, rng = self.design.configs, self.rng
        self.truth = TRUE_PEARSON + self.design.spread * rng.normal(size=configs)
        self.truth[1] += self.design.lead
        self.labels = rng.uniform(0, 5, self.design.pairs)
        self._shared = rng.normal(size=self.design.pairs)
        self._own = rng.normal(size=(configs, self.design.pairs))
        self._luck: dict[int, float] = {}

    def sample(self, config: int, seeds: Sequence[int]) -> Sample:
        """Train a config: predictions whose population Pearson is its truth plus luck."""
        rng, count = self.rng, len(seeds)
        alike = np.array([self._luck.setdefault(seed, rng.normal()) for seed in seeds])
        luck = np.sqrt(SHARED_LUCK) * alike + np.sqrt(1 - SHARED_LUCK) * rng.normal(size=count)
        sd = self.design.seed_sd * (self.design.times if config in self.design.wild else 1)
        pearson = np.clip(self.truth[config] + sd * luck, 0.01, 0.999)
        errors = np.sqrt(OF_RUN) * rng.normal(size=(count, self.design.pairs))
        errors += np.sqrt(COMMON) * self._shared + np.sqrt(OF_CONFIG) * self._own[config]
        signal = (self.labels - 2.5) / np.sqrt(25 / 12)
        predictions = signal + errors * np.sqrt(1 / pearson**2 - 1)[:, None]
        return Sample(tuple(seeds), predictions, str(config))

    def score_on_dev(self, config: int) -> float:
        """What the config scores on these dev pairs, over many seeds."""
        return fmean(scores(self.sample(config, range(10_000, 10_000 + MANY_SEEDS)), self.labels))


@dataclass(frozen=True)
class Judged:
    """A sweep with its verdict; `order` are config numbers, the best first."""

    order: list[int]
    means: dict[int, float]
    comparison: Comparison
    verdict: Verdict
    configs: Sequence[Contender]

    def at_look(self, number: int) -> Verdict:
        """The same runs, had somebody looked so often."""
        comparison = replace(self.comparison, looks=number)
        verdict = judge(self.configs, comparison, baseline=str(BASELINE))
        assert verdict is not None
        return verdict


def scores(sample: Sample, labels: Floats) -> list[float]:
    return [float(np.corrcoef(run, labels)[0, 1]) for run in sample.predictions]


def judge_runs(
    task: Task,
    samples: dict[int, Sample],
    *,
    search: dict[int, float] | None = None,
    searched: dict[int, Sample] | None = None,
) -> Judged:
    """The verdict over these runs, by the code of the program.

    Args:
        search: Scores of the search, where these runs confirm it, and its runs as `searched`.
    """
    configs = [
        Contender(
            str(k),
            "",
            sample.seeds,
            tuple(scores(sample, task.labels)),
            lora_params=k % 4,
            train_seconds=k,
            search_mean=search[k] if search else None,
            confirmed=search is not None,
        )
        for k, sample in samples.items()
    ]
    order = judged(ranked(configs))
    numbers = [int(c.config_id) for c in order]
    comparison = compare(
        [samples[k] for k in numbers],
        task.labels,
        num_rivals=task.design.configs,
        noise_from=[joined(searched[k], samples[k]) for k in numbers] if searched else None,
    )
    verdict = judge(configs, comparison, baseline=str(BASELINE))
    assert verdict is not None
    means = {int(c.config_id): c.mean for c in order}
    return Judged(numbers, means, comparison, verdict, configs)


def joined(one: Sample, other: Sample) -> Sample:
    """A config's runs on both sets of seeds."""
    predictions = np.concatenate([one.predictions, other.predictions])
    return Sample((*one.seeds, *other.seeds), predictions, one.config_id)
