"""The rank law: how the best learning rate moves with rank and alpha, before anything is measured.

Under Adam, with B = 0 at the start, the best rate goes as the inverse square root of rank times
scaling (arXiv:2602.06204, Corollary 4.4). So it stays where alpha is fixed, falls as r^-1/2 where
alpha/r is, and as r^-1/4 with rsLoRA.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: Pairs that are named one by one.
_MOST_NAMED = 4
#: Two rates that differ by less are one.
_SAME = 1e-6


@dataclass(frozen=True)
class Adapter:
    """Rank and alpha of a config."""

    rank: int
    alpha: float
    rslora: bool = False

    @property
    def strength(self) -> float:
        """Rank times scaling, the number that the law speaks of."""
        return self.alpha * (math.sqrt(self.rank) if self.rslora else 1.0)


@dataclass(frozen=True)
class AlphaRule:
    """How alpha goes with the rank: `alpha 16`, `alpha 2r`, `rsLoRA alpha 16`."""

    kind: Literal["fixed", "proportional", "rslora"]
    #: Alpha, or alpha over r.
    constant: float

    @property
    def name(self) -> str:
        number = f"{self.constant:g}"
        return {
            "fixed": f"alpha {number}",
            "proportional": f"alpha {'' if number == '1' else number}r",
            "rslora": f"rsLoRA alpha {number}",
        }[self.kind]

    @property
    def slope(self) -> float:
        """What the law expects of the log of the best rate over the log of the rank."""
        return {"fixed": 0.0, "proportional": -0.5, "rslora": -0.25}[self.kind]

    def holds(self, adapter: Adapter) -> bool:
        if adapter.rslora or self.kind == "rslora":
            return adapter.rslora == (self.kind == "rslora") and _alike(
                adapter.alpha, self.constant
            )
        alpha = self.constant * (adapter.rank if self.kind == "proportional" else 1)
        return _alike(adapter.alpha, alpha)


def rules_of(adapters: Sequence[Adapter]) -> list[AlphaRule]:
    """The fewest rules that every adapter follows, those of most adapters first.

    An adapter may follow several: r 8 with alpha 16 is `alpha 16` and `alpha 2r`. A rule that only
    one rank follows is none, and adapters of no rule are in none.
    """
    distinct = list(dict.fromkeys(adapters))
    open_ones, found = set(distinct), []
    candidates = list(dict.fromkeys(rule for each in distinct for rule in _rules_for(each)))
    while open_ones:
        followers = {rule: [a for a in distinct if rule.holds(a)] for rule in candidates}
        spanned = {rule: {a.rank for a in of_it} for rule, of_it in followers.items()}
        useful = [
            rule
            for rule in candidates
            if rule not in found and len(spanned[rule]) > 1 and open_ones & {*followers[rule]}
        ]
        if not useful:
            break
        best = max(useful, key=lambda rule: (len(open_ones & {*followers[rule]}), rule.slope))
        found.append(best)
        open_ones -= {*followers[best]}
    return found


def expected_ratio(adapter: Adapter, than: Adapter) -> float:
    """Best rate of an adapter over that of another, as the law has it."""
    return math.sqrt(than.strength / adapter.strength)


def one_rate_words(adapters: Sequence[Adapter], rates: Sequence[float]) -> str:
    """What a comparison of ranks at one learning rate leaves open; nothing where it is none."""
    if not rates or max(rates) - min(rates) > _SAME * max(rates):
        return ""
    distinct = sorted(set(adapters), key=lambda a: (a.rank, a.rslora, a.alpha))
    if len({a.rank for a in distinct}) < 2:
        return ""
    first, *others = distinct
    moved = [a for a in others if not _alike(expected_ratio(a, first), 1.0)]
    at = f"at learning rate {rates[0]:g} alone"
    if not moved:
        return f"All ranks were tried {at}; the rank law expects one best rate for all of them."
    has_many = len({a.rank for a in distinct}) < len(distinct)
    names = [_named(a, with_alpha=has_many) for a in moved]
    ratios = [f"{expected_ratio(a, first):.2f}" for a in moved]
    were, its, is_at = ("was", "its", "is") if len(moved) == 1 else ("were", "their", "are")
    rate = "rate" if len(moved) == 1 else "rates"
    return (
        f"{_listed(names)} {were} tried {at}; by the rank law {its} own best {rate} {is_at} "
        f"{_listed(ratios)} times that of {_named(first, with_alpha=has_many)}."
    )


def _rules_for(adapter: Adapter) -> list[AlphaRule]:
    if adapter.rslora:
        return [AlphaRule("rslora", adapter.alpha)]
    over_rank = round(adapter.alpha / adapter.rank, 9)
    return [AlphaRule("fixed", adapter.alpha), AlphaRule("proportional", over_rank)]


def _named(adapter: Adapter, *, with_alpha: bool) -> str:
    if not with_alpha:
        return f"r {adapter.rank}"
    rs = " rsLoRA" if adapter.rslora else ""
    return f"r {adapter.rank}{rs} alpha {adapter.alpha:g}"


def _listed(texts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; of many the first and the last."""
    shown = list(texts)
    if len(shown) > _MOST_NAMED:
        shown = [*shown[: _MOST_NAMED - 2], "...", shown[-1]]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _alike(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=1e-6)
