"""The expected best of n draws."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.stats.best_of import Drawn, expected_best

SCORES = st.lists(st.floats(-1, 1), min_size=1, max_size=7)


@given(SCORES)
def test_it_is_the_mean_of_the_best_over_all_sets_of_so_many(scores: list[float]) -> None:
    found = expected_best(scores)
    for n in range(1, len(scores) + 1):
        assert found[n - 1] == pytest.approx(fmean(map(max, combinations(scores, n))), abs=1e-12)


def test_one_draw_is_worth_the_mean_and_all_are_worth_the_best() -> None:
    scores = np.random.default_rng(0).normal(size=60)
    found = expected_best(scores)
    assert found[0] == pytest.approx(scores.mean())
    assert found[-1] == pytest.approx(scores.max())
    assert (np.diff(found) > 0).all()


def test_more_draws_than_there_were_are_worth_no_more() -> None:
    assert Drawn("LoRA", (0.5, 0.6), 1e-3).expected(9) == 0.6
