"""Variances of seeds, each moderated by the others': who shares, who is left alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sweep.core.arrays import Floats
from sweep.stats.moderation import Moderated

#: Seeds of two configs that were trained with one learning rate, measured.
UNSTEADY = (0.595, 0.085, 0.453, 0.831, 0.608, 0.817)
STEADY = (0.812, 0.786, 0.805, 0.809, 0.755, 0.815)


def moderated(scores: Sequence[Sequence[float]], *, others: int = 0) -> Moderated:
    squares = [float(np.var(known, ddof=1)) if len(known) > 1 else 0.0 for known in scores]
    free = [len(known) - 1.0 for known in scores]
    return Moderated(np.array(squares + [0.0] * others), np.array(free + [0.0] * others))


def scores_of(sds: Sequence[float], num_seeds: int, draw: int) -> Floats:
    rng = np.random.default_rng([40, draw])
    return np.array(sds)[:, None] * rng.normal(size=(len(sds), num_seeds))


def test_steady_config_is_not_made_wide_by_one_that_collapses() -> None:
    found = np.sqrt(moderated([UNSTEADY, STEADY]).typical)
    assert found[0] == pytest.approx(np.std(UNSTEADY, ddof=1), rel=0.3)
    assert found[1] == pytest.approx(np.std(STEADY, ddof=1), rel=0.3)


@pytest.mark.parametrize("num_seeds", [2, 3, 6])
def test_configs_that_are_alike_share_what_they_know(num_seeds: int) -> None:
    """With two seeds each, a single one would know its SD up to a factor of ten or more."""
    found = [np.sqrt(moderated(list(scores_of([1] * 12, num_seeds, i))).typical) for i in range(20)]
    assert 0.8 < np.median(found) < 1.2
    assert np.quantile(found, 0.05) > 0.4
    assert np.quantile(found, 0.95) < 2.0


def test_config_without_seeds_is_like_the_others() -> None:
    sizes = moderated([(0.80, 0.82), (0.81, 0.84), (0.79, 0.80)], others=2).typical
    assert sizes[3] == sizes[4]
    assert min(sizes[:3]) <= sizes[3] <= max(sizes[:3])


def test_runs_that_are_all_equal_have_no_variance() -> None:
    found = moderated([(0.8, 0.8), (0.7, 0.7)])
    assert found.typical.tolist() == [0, 0]
    assert not found.draws(10, np.random.default_rng(0)).any()
    assert not found.reach(0.5, np.zeros(2)).any()
    assert found.tail_free == np.inf


def test_scale_of_the_scores_is_that_of_the_variances() -> None:
    scores = scores_of([1, 1, 5], 4, 3)
    small, large = (moderated(list(scale * scores)).typical for scale in (1e-3, 1.0))
    assert large == pytest.approx(1e6 * small)


def test_draws_are_told_by_their_middle_and_their_reach() -> None:
    found = moderated(list(scores_of([1] * 8, 5, 1)))
    draws = found.draws(20_000, np.random.default_rng(1))
    assert np.exp(np.log(draws).mean(axis=0)) == pytest.approx(found.typical, rel=0.1)
    errors = np.abs(np.random.default_rng(2).normal(size=draws.shape) * np.sqrt(draws))
    ends = np.quantile(errors, 0.99, axis=0)
    assert ends / 2.5758 == pytest.approx(np.sqrt(found.reach(1.0, np.zeros(8))), rel=0.15)


@pytest.mark.long
@pytest.mark.parametrize("sds", [[1] * 6, [10, 1, 1, 1, 1, 1], [3, 1, 3, 1, 3, 1]])
def test_intervals_of_means_hold_the_truth_as_often_as_they_say(sds: list[float]) -> None:
    """In all, also where one config has ten times the SD of the others."""
    covered = []
    for draw in range(120):
        scores = scores_of(sds, 6, draw)
        variances = moderated(list(scores)).draws(1000, np.random.default_rng(draw))
        luck = np.random.default_rng([41, draw]).normal(size=variances.shape)
        low, high = np.quantile(luck * np.sqrt(variances / 6), [0.025, 0.975], axis=0)
        covered.append((low <= scores.mean(axis=1)) & (scores.mean(axis=1) <= high))
    each = np.mean(covered, axis=0)
    # Two and a half standard errors of 120 studies.
    assert each.min() >= 0.93 - 2.5 * 0.023
    assert 0.93 - 2.5 * 0.0085 <= np.mean(covered) <= 0.97 + 2.5 * 0.0085
