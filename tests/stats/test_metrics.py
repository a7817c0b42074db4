"""Metrics on whole sets and on resamples, held against scipy and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from sweep.core.arrays import Floats
from sweep.core.errors import ConfigError
from sweep.core.metric import ACCURACY, KNOWN, MACRO_F1, MCC, PEARSON, SPEARMAN, metric_named
from sweep.core.own_metrics import VARIABLE
from sweep.stats.metrics import function_of, resampled, score
from sweep.stats.statistics import Sample, compare, resampling_weights

Reference = Callable[[Floats, Floats], float]
REFERENCES: dict[str, Reference] = {
    "pearson": lambda y, p: float(pearsonr(y, p).statistic),
    "spearman": lambda y, p: float(spearmanr(y, p).statistic),
    "accuracy": lambda y, p: float(accuracy_score(y, p)),
    "macro_f1": lambda y, p: float(f1_score(y, p, average="macro", zero_division=0)),
    "mcc": lambda y, p: float(matthews_corrcoef(y, p)),
}


def own_error(labels: Floats, predictions: Floats) -> float:
    """A metric of somebody's: minus the mean absolute error."""
    return -float(np.abs(labels - predictions).mean())


def some(name: str, rows: int = 60, runs: int = 3) -> tuple[Floats, Floats]:
    """Labels `[N]` and predictions `[R, N]`, with ties and with a class that is never predicted."""
    rng = np.random.default_rng(3)
    if KNOWN[name].of_classes:
        labels = rng.choice(4, rows, p=[0.5, 0.3, 0.17, 0.03]).astype(float)
        wrong = rng.random((runs, rows)) < 0.3
        return labels, np.where(wrong, rng.choice(3, (runs, rows)), labels)
    labels = rng.integers(0, 6, rows).astype(float)
    return labels, labels + rng.normal(0, 1, (runs, rows)).round(1)


@pytest.mark.parametrize("name", REFERENCES)
def test_scores_equal_the_library_s_on_all_rows_and_on_each_resample(name: str) -> None:
    labels, predictions = some(name)
    metric, reference = KNOWN[name], REFERENCES[name]
    weights = resampling_weights(len(labels))[:40]
    found = resampled(metric, predictions, labels, weights)
    assert found.shape == (40, 3)
    for row, counts in zip(found, np.rint(weights * len(labels)).astype(int), strict=True):
        items = np.repeat(np.arange(len(labels)), counts)
        expected = [reference(labels[items], run[items]) for run in predictions]
        np.testing.assert_allclose(row, expected, atol=1e-9)
    expected = [reference(labels, run) for run in predictions]
    assert [score(metric, run, labels) for run in predictions] == pytest.approx(expected)


@pytest.mark.parametrize("metric", [ACCURACY, MACRO_F1, MCC, SPEARMAN])
def test_intervals_stay_in_the_metric_s_range_and_the_better_config_leads(metric: object) -> None:
    name = metric.name  # type: ignore[attr-defined]
    labels, predictions = some(name, rows=200, runs=4)
    # Nothing is wrong in the first two runs but a row.
    good = np.stack([labels, labels])
    good[1, 0] = labels[-1] + (labels[0] == labels[-1])
    samples = [Sample((0, 1), good, "a"), Sample((0, 1), predictions[:2], "b")]
    found = compare(samples, labels, metric=KNOWN[name])
    ends = found.intervals()
    assert ends.min() >= KNOWN[name].low
    assert ends.max() <= KNOWN[name].high
    assert list(found.tied) == [True, False]
    difference, low, high = found.lead_over(1)
    assert 0 < low < difference < high <= KNOWN[name].high - KNOWN[name].low


def test_constant_answers_have_an_accuracy_and_no_correlation() -> None:
    labels = np.array([0.0, 1, 1, 2])
    same = np.ones(4)
    assert score(ACCURACY, same, labels) == 0.5
    assert score(MCC, same, labels) == 0.0
    weights = np.full((1, 4), 0.25)
    assert np.isnan(resampled(SPEARMAN, same, labels, weights)[0])


def test_function_of_the_user_s_is_resampled_and_has_no_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, f"{__name__}:own_error")
    metric = metric_named(f"{__name__}:own_error")
    assert (metric.name, metric.objective) == ("own_error", "own_error:max")
    labels, predictions = some("pearson", rows=80, runs=4)
    assert score(metric, predictions[0], labels) == own_error(labels, predictions[0])
    samples = [Sample((0, 1), predictions[:2], "a"), Sample((0, 1), predictions[2:] - 2, "b")]
    found = compare(samples, labels, metric=metric)
    assert found.means[0] == pytest.approx(
        np.mean([own_error(labels, run) for run in predictions[:2]])
    )
    assert found.intervals()[1, 0] < -1.5
    assert list(found.tied) == [True, False]


@pytest.mark.parametrize("source", ["no_such_module:f", "math:no_such_function", "math:pi"])
def test_metric_that_can_t_be_imported_is_named(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, source)
    with pytest.raises(ConfigError, match=r"task\.metric"):
        function_of(source)


@pytest.mark.parametrize("text", ["f1", "accuracy:", ":f", "a b:f"])
def test_what_is_neither_ours_nor_a_function_is_no_metric(text: str) -> None:
    with pytest.raises(KeyError):
        metric_named(text)


def test_names_in_files_come_back() -> None:
    fields = {"step": 3, "score": 0.5, "score_last": 0.4, "beside": 0.3}
    assert PEARSON.in_files(fields) == {
        "step": 3,
        "pearson": 0.5,
        "pearson_last": 0.4,
        "spearman": 0.3,
    }
    for metric in KNOWN.values():
        assert metric.from_files(metric.in_files(fields)) == fields
