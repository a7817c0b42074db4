"""Looking more than once: synthetic studies that grow until somebody is pleased, or 20 times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from synthetic import Design, Task, judge_runs

from sweep.stats.verdict import Verdict

NUM_LOOKS = 20
#: Few dev pairs and much luck of the seed: so that each look is a chance of its own.
LOOKED_AT = {"equal, 4 configs, 3 seeds and one more a look": Design(4, 3, 0.02, pairs=80)}


def one_study(design: Design, rng: np.random.Generator) -> dict[str, float]:
    """Whether any of 20 looks declares a winner among equal configs."""
    task = Task(design, rng)
    whole = {k: task.sample(k, range(design.seeds + NUM_LOOKS)) for k in range(design.configs)}
    said: dict[str, list[bool]] = {"with": [], "without": []}
    for number in range(1, NUM_LOOKS + 1):
        seeds = design.seeds + number - 1
        samples = {
            k: replace(s, seeds=s.seeds[:seeds], predictions=s.predictions[:seeds])
            for k, s in whole.items()
        }
        found = judge_runs(task, samples)
        said["without"].append(_declares(found.verdict))
        # Whoever is not declared at a first look is not at a later one on the same runs.
        said["with"].append(said["without"][-1] and _declares(found.at_look(number)))
    return {
        "ever_declared": any(said["with"]),
        "ever_declared_without_ledger": any(said["without"]),
        "declared_at_first": said["with"][0],
        "declared_at_last": said["with"][-1],
        "declared_at_last_without_ledger": said["without"][-1],
    }


def power_by_looks(design: Design, rng: np.random.Generator) -> dict[str, float]:
    """Whether the better config is found on the same runs, whichever look it is."""
    task = Task(design, rng)
    samples = {k: task.sample(k, range(design.seeds)) for k in range(design.configs)}
    found = judge_runs(task, samples)
    return {
        f"found_at_look_{number}": found.at_look(number).beats_baseline is True
        for number in (1, 2, 3, 5, 10, 20)
    }


def _declares(verdict: Verdict) -> bool:
    """Somebody is called better than the default, or than all others."""
    return verdict.beats_baseline is True or len(verdict.tie_set) == 1
