"""How often the verdict is wrong: whole sweeps on synthetic predictions, judged by the real code.

A task has 519 dev pairs (KLUE-STS), configs with a true Pearson near 0.85, and prediction errors of
which 85 % are common to all runs, 7 % are their config's and 8 % are each run's own; a seed moves
the true score of a run as well, in part for all configs alike. `python benchmarks/trust.py`, one
core, a few minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean

import numpy as np
from common import RESULTS, write
from scipy.stats import norm

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
    alone. With `confirm` seeds the three best by search and the baseline are trained again. Of
    `wild` sweeps every other config has three times the seed SD.
    """

    configs: int
    seeds: int
    seed_sd: float
    spread: float = 0.0
    lead: float = 0.0
    confirm: int = 0
    wild: bool = False


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
        self.labels = rng.uniform(0, 5, NUM_PAIRS)
        self._shared = rng.normal(size=NUM_PAIRS)
        self._own = rng.normal(size=(configs, NUM_PAIRS))
        self._luck: dict[int, float] = {}

    def sample(self, config: int, seeds: Sequence[int]) -> Sample:
        """Train a config: predictions whose population Pearson is its truth plus luck."""
        rng, count = self.rng, len(seeds)
        alike = np.array([self._luck.setdefault(seed, rng.normal()) for seed in seeds])
        luck = np.sqrt(SHARED_LUCK) * alike + np.sqrt(1 - SHARED_LUCK) * rng.normal(size=count)
        sd = self.design.seed_sd * (3 if self.design.wild and config % 2 else 1)
        pearson = np.clip(self.truth[config] + sd * luck, 0.01, 0.999)
        errors = np.sqrt(OF_RUN) * rng.normal(size=(count, NUM_PAIRS))
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
    return Judged(numbers, {int(c.config_id): c.mean for c in order}, comparison, verdict)


def joined(one: Sample, other: Sample) -> Sample:
    """A config's runs on both sets of seeds."""
    predictions = np.concatenate([one.predictions, other.predictions])
    return Sample((*one.seeds, *other.seeds), predictions, one.config_id)


def one_sweep(design: Design, rng: np.random.Generator) -> dict[str, float]:
    """Train, judge, and look at the truth."""
    task = Task(design, rng)
    samples = {k: task.sample(k, range(design.seeds)) for k in range(design.configs)}
    found = search = judge_runs(task, samples)
    if design.confirm:
        chosen = dict.fromkeys([*search.order[:3], BASELINE])
        fresh = range(100, 100 + design.confirm)
        again = {k: task.sample(k, fresh) for k in chosen}
        found = judge_runs(task, again, search=search.means, searched=samples)
    return {**_claims(task, found), **_intervals(task, found), **_scores(task, search, found)}


def _claims(task: Task, found: Judged) -> dict[str, float]:
    verdict, truth = found.verdict, task.truth
    best, use = int(verdict.best), int(verdict.recommended)
    true_best = max(sorted(found.order), key=lambda k: truth[k])
    beaten = verdict.beats_baseline is True
    apart = found.comparison
    # What is common elsewhere: the interval of each pair by itself, over dev pairs alone.
    base = found.order.index(BASELINE)
    return {
        "winner_declared": beaten,
        "wrongly_declared": beaten and truth[best] <= truth[BASELINE],
        "maximum_is_another": best != BASELINE,
        "pairwise_winner": _pairwise(apart, base),
        "true_best_in_ties": str(true_best) in verdict.tie_set,
        "ties": len(verdict.tie_set),
        "maximum_is_true_best": best == true_best,
        "regret_of_maximum": truth[true_best] - truth[best],
        "regret_of_recommended": truth[true_best] - truth[use],
    }


def _pairwise(comparison: Comparison, base: int) -> bool:
    """Whether the best is ahead of the baseline by one paired interval that knows of no choice."""
    if base == 0:
        return False
    gap = comparison.deviations[:, 0] - comparison.deviations[:, base]
    ahead = comparison.means[0] - comparison.means[base]
    return bool(ahead > norm.ppf(0.975) * gap.std())


def _intervals(task: Task, found: Judged) -> dict[str, float]:
    truth = task.truth[found.order]
    low, high = found.comparison.intervals().T
    inside = (low <= truth) & (truth <= high)
    held = {"covered": float(inside.mean()), "covered_best": float(inside[0])}
    other = 1 if found.order[0] == BASELINE else found.order.index(BASELINE)
    _, low, high = found.comparison.lead_over(other)
    gap = truth[0] - truth[other]
    return {**held, "covered_lead": float(low <= gap <= high)}


def _scores(task: Task, search: Judged, found: Judged) -> dict[str, float]:
    """Score minus truth: on these dev pairs (other seeds), and on new pairs.

    On new pairs the luck that the dev pairs bring to all configs alike is subtracted: its mean is
    0 and its spread would hide the rest.
    """
    naive, best, use = search.order[0], found.order[0], int(found.verdict.recommended)
    expected = found.verdict.expected_score
    on_dev = {k: task.score_on_dev(k) for k in {naive, best, use}}
    alike = fmean(search.means[k] - task.truth[k] for k in search.order)
    told = {
        "naive": (naive, search.means[naive]),
        "best": (best, found.means[best]),
        "expected": (best, found.means[best] if expected is None else expected),
        "recommended": (use, found.means[use]),
    }
    dev = {f"{name}_bias_on_dev": score - on_dev[k] for name, (k, score) in told.items()}
    new = {
        f"{name}_bias_on_new": score - task.truth[k] - alike for name, (k, score) in told.items()
    }
    return {**dev, **new, "seed_sd": found.verdict.seed_sd or 0.0}


def measure(design: Design, num_sweeps: int) -> dict[str, object]:
    """Means over sweeps, with the standard error of each."""
    start = time.monotonic()
    rows = [one_sweep(design, np.random.default_rng([i, 77])) for i in range(num_sweeps)]
    table = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
    return {
        "design": asdict(design),
        "sweeps": num_sweeps,
        "seconds": round(time.monotonic() - start, 1),
        "means": {name: round(float(v.mean()), 5) for name, v in table.items()},
        "standard_errors": {
            name: round(float(v.std() / np.sqrt(len(v))), 5) for name, v in table.items()
        },
    }


CASES = {
    "equal, 8 configs, 3 seeds": Design(8, 3, 0.004),
    "equal, 8 configs, 3 seeds, large seed noise": Design(8, 3, 0.01),
    "equal, 8 configs, 3 seeds, every other with thrice the seed noise": Design(
        8, 3, 0.004, wild=True
    ),
    "equal, 24 configs, 3 seeds": Design(24, 3, 0.006),
    "equal, 24 configs, 1 seed": Design(24, 1, 0.006),
    "equal, 24 configs, 1 seed, 4 confirmed on 5": Design(24, 1, 0.006, confirm=5),
    "unlike, 8 configs, 3 seeds": Design(8, 3, 0.006, spread=0.01),
    "unlike, 24 configs, 3 seeds": Design(24, 3, 0.006, spread=0.01),
    "unlike, 24 configs, 1 seed, 4 confirmed on 5": Design(24, 1, 0.006, spread=0.01, confirm=5),
}
LEADS = (0.005, 0.01, 0.02, 0.03)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=1000)
    parser.add_argument("--only", default="", help="cases with this in their name; others are kept")
    asked = parser.parse_args()
    path = RESULTS / "trust.json"
    known = json.loads(path.read_text("utf-8")) if asked.only and path.exists() else {}
    cases = {
        name: measure(design, asked.sweeps) if asked.only in name else known["cases"][name]
        for name, design in CASES.items()
    }
    power = known.get("power") or [
        measure(Design(8, 3, 0.006, lead=lead), asked.sweeps // 5) for lead in LEADS
    ]
    print(
        write("trust", {"pairs": NUM_PAIRS, "errors": ERROR_SHARES, "cases": cases, "power": power})
    )


if __name__ == "__main__":
    main()
