"""Paired comparison: what is the same does not differ, what is better does."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.core.paired import mean_pearson, paired_difference


def test_interval_holds_the_score_and_pairs_are_narrower_than_either() -> None:
    rng = np.random.default_rng(0)
    labels = rng.normal(size=400)
    shared = rng.normal(size=400)
    one, other = labels + shared, labels + shared + 0.1 * rng.normal(size=400)
    score = mean_pearson([one], labels)
    assert score.value == pytest.approx(np.corrcoef(one, labels)[0, 1])
    assert score.ci_low < score.value < score.ci_high
    gap = paired_difference([one], [other], labels)
    assert gap.ci_high - gap.ci_low < (score.ci_high - score.ci_low) / 3
    assert gap.value == pytest.approx(score.value - mean_pearson([other], labels).value)


def test_config_against_itself_is_exactly_no_difference() -> None:
    rng = np.random.default_rng(0)
    labels, runs = rng.normal(size=50), list(rng.normal(size=(3, 50)))
    gap = paired_difference(runs, runs, labels)
    assert (gap.value, gap.ci_low, gap.ci_high) == (0, 0, 0)
    assert gap.in_words(signed=True) == "+0.0000 (95 % +0.000 to +0.000)"
