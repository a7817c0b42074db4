"""The correlations that a run is scored by."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.train.keeper import scores


def test_undefined_correlation_is_nan_and_never_zero() -> None:
    labels = np.array([1.0, 2.0, 3.0])
    for predictions in ([2.0, 2.0, 2.0], [1.0, np.nan, 2.0], [1.0, np.inf, 2.0]):
        pearson, spearman = scores(np.array(predictions), labels)
        assert np.isnan(pearson)
        assert np.isnan(spearman)


def test_scores_refuse_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        scores(np.zeros((3, 1)), np.zeros(3))
