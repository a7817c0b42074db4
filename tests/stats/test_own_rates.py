"""Ranks at their own best rates: synthetic surfaces whose truth is known, and not of the fitted
shape."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from surfaces import made_up
from sweep.stats.own_rates import own_rates
from sweep.stats.own_rates_words import own_rates_words
from sweep.stats.rank_law import Adapter
from sweep.stats.rate_table import RANK, RULE, Scored

MOVING = ("targets",)


def test_law_is_found_where_it_holds_rule_by_rule() -> None:
    found = own_rates(made_up(1, count=144), moving=MOVING)
    assert found is not None
    slopes = {slope.rule: slope for slope in found.slopes}
    assert set(slopes) == {"alpha 16", "alpha 2r", "rsLoRA alpha 16"}
    for slope in slopes.values():
        assert slope.slope.value == pytest.approx(slope.law, abs=0.12)
        assert slope.is_as_expected
        assert slope.slope.ci_high - slope.slope.ci_low < 0.4
        assert slope.drift.value == pytest.approx(32**slope.slope.value)
    # r 8 with alpha 16 is of two rules, and one cell.
    at_8 = {best.rule: best.rate.value for best in found.rates if best.r == 8}
    assert at_8["alpha 16"] == at_8["alpha 2r"]
    assert found.num_configs == 144


def test_law_is_rejected_where_it_does_not_hold() -> None:
    found = own_rates(made_up(2, count=144, exponent=-1.0), moving=MOVING)
    assert found is not None
    double = next(slope for slope in found.slopes if slope.rule == "alpha 2r")
    assert not double.is_as_expected
    assert double.slope.value == pytest.approx(-1.0, abs=0.25)
    assert any("does not hold here" in sentence for sentence in own_rates_words(found))


@pytest.mark.long
def test_intervals_cover_the_truth() -> None:
    slopes, rates = [], []
    for number in range(15):
        found = own_rates(
            made_up(number, count=64, ranks=(4, 8, 16, 32), rules=("double",)), moving=MOVING
        )
        assert found is not None
        slopes += [slope.is_as_expected for slope in found.slopes]
        first = found.rates[0].rate
        # Seen from r 4, the middle of both targets cancels.
        for best in found.rates[1:]:
            true = -0.5 * math.log(best.r / 4)
            apart = math.log(best.rate.value / first.value) - true
            half = math.log(best.rate.ci_high / best.rate.value) + math.log(
                first.ci_high / first.value
            )
            rates.append(abs(apart) < half)
    assert np.mean(slopes) >= 0.86
    assert np.mean(rates) >= 0.93


def test_what_settings_are_worth_at_their_own_rates() -> None:
    found = own_rates(
        made_up(3, count=96, ranks=(4, 16, 64), rules=("fixed",), gain=0.03), moving=MOVING
    )
    assert found is not None
    effects = {(effect.key, effect.level): effect for effect in found.effects}
    assert effects["targets", "all-linear"].is_best
    wide = effects["targets", "qv"].difference
    assert wide.ci_low <= -0.05 <= wide.ci_high < 0
    assert effects[RANK, "64"].is_best
    low = effects[RANK, "4"].difference
    assert low.ci_low <= -0.12 <= low.ci_high < 0
    # One rule is compared with nothing.
    assert not any(key == RULE for key, _ in effects)


def test_rank_that_looks_bad_at_high_rates_is_not_at_its_own() -> None:
    configs = made_up(4, count=144, gain=0.0)
    double = [c for c in configs if c.adapter.alpha == 2 * c.adapter.rank and c.rate > 2e-3]
    at_high = {r: np.mean([c.score for c in double if c.adapter.rank == r]) for r in (4, 64)}
    assert at_high[4] - at_high[64] > 0.2
    found = own_rates(configs, moving=MOVING)
    assert found is not None
    worse = [e for e in found.effects if e.key == RANK and e.difference.ci_high < 0]
    assert worse == []


def test_many_ranks_are_seen_by_octaves() -> None:
    rng = np.random.default_rng(5)
    configs = [
        replace(config, adapter=Adapter(int(rng.integers(r // 2 + 1, r * 2)), 16))
        for config in made_up(5, count=120, ranks=(4, 16, 64), rules=("fixed",))
        for r in [config.adapter.rank]
    ]
    found = own_rates(configs, moving=MOVING)
    assert found is not None
    assert found.rates
    assert any(" to " in best.rank for best in found.rates)
    assert found.slopes[0].is_as_expected


def test_best_rate_beyond_those_tried_is_said_to_be_at_the_end() -> None:
    configs = [c for c in made_up(6, count=144, rules=("double",)) if c.rate < 1.2e-3]
    found = own_rates(configs, moving=MOVING)
    assert found is not None
    low = next(best for best in found.rates if best.r == 2)
    assert low.at_end
    assert any("at an end of those tried" in sentence for sentence in own_rates_words(found))


def test_noise_alone_tests_no_law() -> None:
    rng = np.random.default_rng(10)
    configs = [
        replace(config, score=float(0.1 * rng.normal())) for config in made_up(10, count=144)
    ]
    found = own_rates(configs, moving=MOVING)
    assert found is not None
    said = " ".join(own_rates_words(found))
    assert "too small to test" in said
    assert "is ahead of" not in said


def test_too_few_configs_say_so() -> None:
    found = own_rates(made_up(7, count=20, rules=("double",)), moving=MOVING)
    assert found is not None
    assert found.rates == ()
    (said,) = own_rates_words(found)
    assert said.startswith("Ranks at their own best rates: not known")


def test_nothing_is_said_where_rank_or_rate_was_not_searched() -> None:
    configs = made_up(8, count=40)
    assert own_rates([replace(config, rate=1e-3) for config in configs]) is None
    assert own_rates([replace(config, adapter=Adapter(8, 16)) for config in configs]) is None


def test_scores_that_are_all_alike_break_nothing() -> None:
    configs = [Scored(c.adapter, c.rate, 0.8, c.others) for c in made_up(9, count=144)]
    found = own_rates(configs, moving=MOVING)
    assert found is not None
    assert all(math.isfinite(best.rate.value) for best in found.rates)
    assert not any(e.difference.ci_high < 0 for e in found.effects)
