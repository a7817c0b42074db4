"""One method under several names: how often is one of them said to be ahead?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from synthetic import Design, Task, judge_runs


@dataclass(frozen=True)
class Variants:
    """As `lora_variants` runs: `names` of one method, `draws` of each on `seeds`; the best config
    of each name on `confirm` fresh seeds. `spread` is the SD of the draws' true scores, as
    learning rates are worth different things."""

    names: int = 7
    draws: int = 12
    seeds: int = 3
    confirm: int = 3
    seed_sd: float = 0.006
    spread: float = 0.02


VARIANTS = {
    "two names": Variants(names=2),
    "seven names": Variants(),
}


def one_comparison(design: Variants, rng: np.random.Generator) -> dict[str, float]:
    """Draw, train, confirm the best of each name, judge. All names have the same twelve rates."""
    worth = design.spread * rng.normal(size=design.draws)
    total = design.names * design.draws
    task = Task(Design(total, design.seeds, design.seed_sd), rng)
    task.truth = task.truth + np.tile(worth, design.names)
    found = judge_runs(task, {k: task.sample(k, range(design.seeds)) for k in range(total)})
    # Names are blocks of configs.
    first = {k // design.draws: k for k in reversed(found.order)}
    fresh = range(100, 100 + design.confirm)
    again = {k: task.sample(k, fresh) for k in sorted(first.values())}
    verdict = judge_runs(task, again, search=found.means).verdict
    rivals = {int(k) for k in verdict.tie_set}
    best = task.truth[[*first.values()]].max()
    behind = [k for k in first.values() if k not in rivals]
    return {
        "one_name_is_ahead_of_all": len(rivals) == 1,
        "a_name_is_behind": len(behind) > 0,
        # Another rate may have been chosen for it, which is then a true difference.
        "wrongly_behind": any(task.truth[k] >= best for k in behind),
    }
