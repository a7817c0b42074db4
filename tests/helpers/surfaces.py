"""Made-up studies over rank, alpha rule, targets and learning rate, whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweep.stats.rank_law import Adapter
from sweep.stats.rate_table import Scored

RULES = ("fixed", "double", "rslora")


def adapter(r: int, rule: str) -> Adapter:
    return Adapter(r, 2.0 * r if rule == "double" else 16.0, rule == "rslora")


def made_up(
    number: int,
    *,
    count: int,
    ranks: Sequence[int] = (2, 4, 8, 16, 32, 64),
    rules: Sequence[str] = RULES,
    exponent: float = -0.5,
    gain: float = 0.01,
    wide: float = 0.05,
) -> list[Scored]:
    """Best rates go as (rank times scaling) to the `exponent`; a doubling of r is worth `gain`, all
    linear layers are worth `wide` at a lower rate. Scores fall off a cliff behind the best rate."""
    rng = np.random.default_rng([number, 90])
    kinds = [(r, rule) for r in ranks for rule in rules]
    configs = []
    for place in range(count):
        r, rule = kinds[place % len(kinds)]
        own, is_wide = adapter(r, rule), bool(rng.random() < 0.5)
        best = np.log(1.5e-3) + exponent * np.log(own.strength / 16) - 0.3 * is_wide
        # Every rank goes through the whole range, and then around its best rate.
        share = (place // len(kinds) * 0.618 + rng.random() * 0.2) % 1
        far = place < count // 2
        rate = np.log(1e-4) + share * np.log(100) if far else best + (share - 0.5) * np.log(10)
        top = 0.77 + gain * np.log2(r) + wide * is_wide
        noise = 0.02 if rate < best + 0.3 else 0.08
        score = 0.03 + top * bump(rate - best) + noise * rng.normal()
        others = {"targets": "all-linear" if is_wide else "qv"}
        configs.append(Scored(own, float(np.exp(rate)), float(score), others))
    return configs


def bump(away: float) -> float:
    """1 at the best rate, a slow rise before it, a cliff behind: no shape that is fitted."""
    top = 0.505
    return float(_logistic(away + top) / _logistic(top))


def _logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-1.6 * (x + 2.2))) / (1 + np.exp(4 * (x - 1.3))))
