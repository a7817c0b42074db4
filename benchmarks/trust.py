"""How often the verdict is wrong: whole sweeps on synthetic predictions, judged by the real code.

`python benchmarks/trust.py`, one core, half an hour; `--only` a part of it. What is simulated is in
`synthetic.py`, what the settings do in `trust_effects.py`, looking again in `trust_looks.py`, one
method under several names in `trust_variants.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from statistics import fmean

import numpy as np
from common import RESULTS, write
from scipy.stats import norm
from synthetic import BASELINE, ERROR_SHARES, NUM_PAIRS, Design, Judged, Task, judge_runs
from trust_effects import GRIDS, one_grid
from trust_looks import LOOKED_AT, one_study, power_by_looks
from trust_variants import VARIANTS, one_comparison

from sweep.stats.comparison import Comparison


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
    for k in (k for k in found.order if k in task.design.wild):
        held["covered_wild"] = float(inside[found.order.index(k)])
    steady = [i for i, k in enumerate(found.order) if k not in task.design.wild]
    held["covered_steady"] = float(inside[steady].mean())
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


def measure(one: Callable[[np.random.Generator], dict[str, float]], num: int) -> dict[str, object]:
    """Means over so many sweeps, with the standard error of each; NaN is left out."""
    start = time.monotonic()
    rows = [one(np.random.default_rng([i, 77])) for i in range(num)]
    table = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
    counts = {name: max(1, int(np.isfinite(v).sum())) for name, v in table.items()}
    return {
        "sweeps": num,
        "seconds": round(time.monotonic() - start, 1),
        "means": {name: round(float(np.nanmean(v)), 5) for name, v in table.items()},
        "standard_errors": {
            name: round(float(np.nanstd(v) / np.sqrt(counts[name])), 5) for name, v in table.items()
        },
    }


EVERY_OTHER = (1, 3, 5, 7)
CASES = {
    "equal, 2 configs, 2 seeds": Design(2, 2, 0.02),
    "equal, 2 configs, 3 seeds": Design(2, 3, 0.02),
    "equal, 8 configs, 3 seeds": Design(8, 3, 0.004),
    "equal, 8 configs, 3 seeds, large seed noise": Design(8, 3, 0.01),
    "equal, 8 configs, 3 seeds, every other with thrice the seed noise": Design(
        8, 3, 0.004, wild=EVERY_OTHER, times=3
    ),
    "equal, 8 configs, 3 seeds, one with ten times the seed noise": Design(
        8, 3, 0.004, wild=(1,), times=10
    ),
    "equal, 8 configs, 6 seeds, one with ten times the seed noise": Design(
        8, 6, 0.004, wild=(1,), times=10
    ),
    "equal, 24 configs, 3 seeds": Design(24, 3, 0.006),
    "equal, 24 configs, 1 seed": Design(24, 1, 0.006),
    "equal, 24 configs, 1 seed, 4 confirmed on 5": Design(24, 1, 0.006, confirm=5),
    "unlike, 8 configs, 3 seeds": Design(8, 3, 0.006, spread=0.01),
    "unlike, 24 configs, 3 seeds": Design(24, 3, 0.006, spread=0.01),
    "unlike, 24 configs, 1 seed, 4 confirmed on 5": Design(24, 1, 0.006, spread=0.01, confirm=5),
}
LEADS = (0.005, 0.01, 0.02, 0.03)


def simulations(num: int) -> dict[str, tuple[dict[str, object], Callable[[], dict[str, object]]]]:
    """By name: what is simulated, and the function that does it."""
    found = {}
    for name, design in CASES.items():
        one = partial(one_sweep, design)
        found[f"verdict: {name}"] = (asdict(design), partial(measure, one, num))
    for lead in LEADS:
        design = Design(8, 3, 0.006, lead=lead)
        one = partial(one_sweep, design)
        found[f"power: lead {lead}"] = (asdict(design), partial(measure, one, max(num // 5, 1)))
    for name, grid in GRIDS.items():
        found[f"effects: {name}"] = (asdict(grid), partial(measure, partial(one_grid, grid), num))
    for name, design in LOOKED_AT.items():
        one = partial(one_study, design)
        found[f"looks: {name}"] = (asdict(design), partial(measure, one, num))
    for name, variants in VARIANTS.items():
        one = partial(one_comparison, variants)
        found[f"variants: {name}"] = (asdict(variants), partial(measure, one, num))
    ahead = Design(8, 3, 0.006, lead=0.03)
    one = partial(power_by_looks, ahead)
    found["looks: power"] = (asdict(ahead), partial(measure, one, max(num // 5, 1)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=1000)
    parser.add_argument("--only", default="", help="cases with this in their name; others are kept")
    asked = parser.parse_args()
    path = RESULTS / "trust.json"
    known = json.loads(path.read_text("utf-8"))["cases"] if asked.only and path.exists() else {}
    cases = {}
    for name, (design, run) in simulations(asked.sweeps).items():
        if asked.only in name:
            cases[name] = {"design": design, **run()}
        elif name in known:
            cases[name] = known[name]
    print(write("trust", {"pairs": NUM_PAIRS, "errors": ERROR_SHARES, "cases": cases}))


if __name__ == "__main__":
    main()
