"""What a study says of ranks at their own best rates, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.core.words import name_of
from sweep.stats.own_rates import AtOwnRate, BestRate, OwnRates, RateSlope
from sweep.stats.rate_table import RULE

_MOST_RATES = 8
#: An interval of a slope that holds nearly every rule's law.
_TOO_WIDE = 1.0


def own_rates_words(found: OwnRates) -> tuple[str, ...]:
    """The best rates and their slope rule by rule, then each key at its own best rate."""
    if found.missing:
        return (f"Ranks at their own best rates: not known, for {found.missing}.",)
    slopes = {slope.rule: slope for slope in found.slopes}
    rules = list(dict.fromkeys(best.rule for best in found.rates))
    keys = list(dict.fromkeys(effect.key for effect in found.effects))
    by_rule = [
        _rates_words([best for best in found.rates if best.rule == rule], slopes.get(rule))
        for rule in rules
    ]
    by_key = [_effect_words([e for e in found.effects if e.key == key]) for key in keys]
    return (*by_rule, *by_key)


def _rates_words(rates: Sequence[BestRate], slope: RateSlope | None) -> str:
    """`alpha 2r: best learning rate 2e-3 at r 2, ..., it goes as r^-0.48 (...)`."""
    shown = rates if len(rates) <= _MOST_RATES else [*rates[: _MOST_RATES - 1], rates[-1]]
    listed = ", ".join(
        f"{best.rate.value:.2g} at r {best.rank} ({best.rate.ci_low:.2g} to "
        f"{best.rate.ci_high:.2g}{', at an end of those tried' if best.at_end else ''})"
        for best in shown
    )
    words = f"{rates[0].rule}: the best learning rate is {listed}"
    return f"{words}." if slope is None else f"{words}; {_slope_words(slope)}."


def _slope_words(slope: RateSlope) -> str:
    own = slope.slope
    against = "which fits" if slope.is_as_expected else "which does not hold here"
    if slope.is_as_expected and own.ci_high - own.ci_low > _TOO_WIDE:
        against = "which this study is too small to test"
    elif slope.is_as_expected and slope.law and own.ci_low <= 0 <= own.ci_high:
        against = "which fits, and so does no drift at all"
    return (
        f"it goes as r^{own.value:+.2f} (95 % interval {own.ci_low:+.2f} to {own.ci_high:+.2f}), "
        f"where the rank law says r^{slope.law:g}, {against}"
    )


def _effect_words(levels: Sequence[AtOwnRate]) -> str:
    """The best level against those that are surely worse, or that none is."""
    key = levels[0].key
    name = key if key == RULE else name_of(key)
    best = next(effect for effect in levels if effect.is_best)
    others = sorted(
        (effect for effect in levels if effect is not best), key=lambda e: e.difference.value
    )
    worse = [effect for effect in others if effect.difference.ci_high < 0]
    head = f"{name}, each at its own best rate: "
    if worse:
        ahead = [f"{e.level} by {e.difference.turned.as_difference}" for e in worse[:3]]
        return f"{head}{best.level} is ahead of {'; of '.join(ahead)}."
    last = others[0]
    size = last.difference.turned.as_difference
    return f"{head}not distinguishable; most between {best.level} and {last.level}, {size}."
