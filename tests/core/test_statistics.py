"""The bootstrap against scipy, and what intervals and ties mean."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from sweep.core.statistics import Floats, resampled_pearson, resampling_weights, standings


def noisy(labels: Floats, noise: float, seed: int) -> Floats:
    return labels + np.random.default_rng(seed).normal(scale=noise, size=len(labels))


LABELS = np.random.default_rng(0).uniform(0, 5, size=300)


@given(st.integers(0, 10_000), st.integers(5, 60))
@settings(max_examples=25, deadline=None)
def test_resampled_pearson_equals_scipy_on_the_resampled_rows(seed: int, num: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predictions = rng.normal(size=num), rng.normal(loc=1e3, size=num)
    rows = rng.integers(0, num, size=num)
    assume(len(set(rows)) >= 3)
    weights = np.bincount(rows, minlength=num)[None, :] / num
    ours = resampled_pearson(predictions, labels, weights)[0]
    assert abs(ours - pearsonr(predictions[rows], labels[rows]).statistic) < 1e-9


def test_weights_are_shares_of_a_resample() -> None:
    weights = resampling_weights(50)
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.allclose(weights * 50, np.round(weights * 50))


def test_interval_holds_the_score_and_narrows_with_more_items() -> None:
    wide = standings([[noisy(LABELS[:60], 1.0, 1)]], LABELS[:60], best=0)[0]
    narrow = standings([[noisy(LABELS, 1.0, 1)]], LABELS, best=0)[0]
    score = pearsonr(noisy(LABELS, 1.0, 1), LABELS).statistic
    assert narrow.ci_low < score < narrow.ci_high
    assert narrow.ci_high - narrow.ci_low < wide.ci_high - wide.ci_low


def test_clearly_worse_config_is_not_tied_and_an_equal_one_is() -> None:
    best, equal, worse = (noisy(LABELS, n, s) for n, s in ((0.5, 1), (0.5, 2), (3.0, 3)))
    found = standings([[best], [equal], [worse]], LABELS, best=0)
    assert [s.tied_with_best for s in found] == [True, True, False]


def test_seeds_of_a_config_are_averaged() -> None:
    good, bad = noisy(LABELS, 0.5, 1), noisy(LABELS, 3.0, 2)
    both = standings([[good], [good, bad], [bad]], LABELS, best=0)
    assert both[2].ci_low < both[1].ci_low < both[0].ci_low
