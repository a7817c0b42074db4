"""The bootstrap against scipy, and what intervals, noise and ties mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from sweep.core.arrays import Floats
from sweep.stats.comparison import Comparison
from sweep.stats.metrics import resampled_pearson
from sweep.stats.seed_noise import RunsByConfig, SeedNoise
from sweep.stats.statistics import Sample, compare, resampling_weights

LABELS = np.random.default_rng(0).uniform(0, 5, size=300)


def matrix(comparison: Comparison) -> Floats:
    """The covariance in full, `[K, K]`."""
    rows = comparison.covariance.rows(np.arange(len(comparison.means)))
    assert np.allclose(comparison.covariance.variances, np.diag(rows))
    return rows


def noisy(labels: Floats, noise: float, seed: int) -> Floats:
    return labels + np.random.default_rng(seed).normal(scale=noise, size=len(labels))


def one_seed(*runs: Floats, labels: Floats = LABELS) -> Comparison:
    return compare([Sample((0,), run[None]) for run in runs], labels)


def sweep(
    seeds: Sequence[tuple[int, ...]], *, own: float = 0.3, shared: float = 1.0, draw: int = 0
) -> list[Sample]:
    """Equal configs: errors shared by all runs and errors of each run."""
    rng = np.random.default_rng(draw)
    common = LABELS + rng.normal(scale=shared, size=len(LABELS))
    return [
        Sample(of_config, common + rng.normal(scale=own, size=(len(of_config), len(LABELS))))
        for of_config in seeds
    ]


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
    wide = one_seed(noisy(LABELS[:60], 1.0, 1), labels=LABELS[:60]).intervals()[0]
    low, high = one_seed(noisy(LABELS, 1.0, 1)).intervals()[0]
    assert low < pearsonr(noisy(LABELS, 1.0, 1), LABELS).statistic < high
    assert high - low < wide[1] - wide[0]


def test_clearly_worse_config_is_not_tied_and_an_equal_one_is() -> None:
    best, equal, worse = (noisy(LABELS, n, s) for n, s in ((0.5, 1), (0.5, 2), (3.0, 3)))
    assert one_seed(best, equal, worse).tied.tolist() == [True, True, False]


def test_scores_of_seeds_are_averaged() -> None:
    good, bad = noisy(LABELS, 0.5, 1), noisy(LABELS, 3.0, 2)
    found = compare([Sample((0, 1), np.stack([good, bad]))], LABELS)
    each = one_seed(good, bad).means
    assert found.means[0] == pytest.approx(each.mean())


def test_covariance_is_that_of_the_draws() -> None:
    found = compare(sweep([(0, 1, 2)] * 4), LABELS)
    drawn = np.cov(found.deviations, rowvar=False)
    assert np.allclose(matrix(found), drawn, rtol=0.35, atol=0.1 * drawn.max())


def test_with_one_seed_each_the_seed_s_noise_is_not_known() -> None:
    found = one_seed(noisy(LABELS, 0.5, 1), noisy(LABELS, 0.6, 2))
    assert found.seed_sd is None
    assert found.dev_sd > 0


def test_seed_sd_is_pooled_within_configs_also_of_unlike_numbers() -> None:
    samples = sweep([(0, 1, 2), (0, 1), (5,)])
    scores = [[pearsonr(run, LABELS).statistic for run in s.predictions] for s in samples]
    squares = sum(((np.array(s) - np.mean(s)) ** 2).sum() for s in scores)
    assert compare(samples, LABELS).seed_sd == pytest.approx(np.sqrt(squares / 3))


def test_luck_of_the_seed_widens_intervals() -> None:
    """Predictions of one config that differ in quality by seed, not by item alone."""
    steady, errors = noisy(LABELS, 1.0, 1), np.random.default_rng(1).normal(size=len(LABELS))
    lucky = np.stack([LABELS + scale * errors for scale in (0.7, 1.0, 1.4)])
    calm = compare([Sample((0, 1, 2), np.stack([steady] * 3))], LABELS).intervals()[0]
    wild = compare([Sample((0, 1, 2), lucky)], LABELS).intervals()[0]
    assert wild[1] - wild[0] > 1.5 * (calm[1] - calm[0])


def test_what_a_seed_does_to_all_configs_is_taken_out_of_their_comparison() -> None:
    """The second config is a little worse under each seed; seeds differ far more."""
    rng = np.random.default_rng(4)
    errors = rng.normal(size=len(LABELS))
    first = np.stack([LABELS + scale * errors for scale in (0.6, 0.9, 1.3)])
    second = np.stack([LABELS + (scale + 0.1) * errors for scale in (0.6, 0.9, 1.3)])
    paired = compare([Sample((0, 1, 2), first), Sample((0, 1, 2), second)], LABELS)
    loose = compare([Sample((0, 1, 2), first), Sample((3, 4, 5), second)], LABELS)
    assert paired.tied.tolist() == [True, False]
    assert loose.tied.tolist() == [True, True]


def test_how_much_alike_seeds_are_is_not_known_for_sure_from_few() -> None:
    """Far ends of the lead's draws over their middle: farther out where two seeds are shared."""
    scores = np.array([0.80, 0.84, 0.79, 0.82])

    def far_out(second: tuple[int, int]) -> float:
        layout = RunsByConfig.of([(0, 1), second])
        noise = SeedNoise.of(scores, np.zeros((10, 4)), layout, np.arange(2))
        rng = np.random.default_rng(0)
        draws, _ = noise.draws(layout, 20_000, rng, noise.covariance(layout, np.zeros((10, 2))).own)
        lead = np.abs(draws[:, 0] - draws[:, 1])
        return float(np.quantile(lead, 0.95) / np.median(lead))

    assert far_out((0, 1)) > 1.2 * far_out((2, 3))


def test_lead_is_above_zero_exactly_where_the_config_is_not_tied() -> None:
    close = one_seed(*(noisy(LABELS, n, s) for n, s in ((0.9, 1), (1.0, 2), (1.3, 3), (3.0, 4))))
    for control in range(1, 4):
        difference, low, high = close.lead_over(control)
        assert low < difference < high
        assert (low > 0) == (not close.tied[control])


def test_more_rivals_make_a_lead_less_sure() -> None:
    """The best of many equal configs is ahead of any one of them by luck."""
    rivals = [noisy(LABELS, 1.0, seed) for seed in range(20)]
    few, many = one_seed(*rivals[:2]), one_seed(*rivals)
    assert few.lead_over(1)[1] > many.lead_over(1)[1]


@pytest.mark.long
@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.sampled_from([1, 2, 3]), st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_scale_and_offset_of_predictions_and_labels_change_nothing(
    scale: float, offset: float, num_seeds: int, draw: int
) -> None:
    samples = sweep([tuple(range(num_seeds))] * 3, draw=draw)
    moved = [Sample(s.seeds, scale * s.predictions + offset) for s in samples]
    plain, changed = compare(samples, LABELS), compare(moved, offset - 2 + scale * LABELS)
    assert np.allclose(plain.intervals(), changed.intervals(), atol=1e-6)
    assert np.allclose(matrix(plain), matrix(changed), atol=1e-9)


@pytest.mark.long
@given(st.permutations([1, 2, 3, 4]), st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_order_of_the_others_changes_no_number_that_is_not_drawn(
    order: list[int], draw: int
) -> None:
    samples = sweep([(0, 1, 2), (0, 1, 2), (0, 1), (0,), (1, 2)], draw=draw)
    places = [0, *order]
    plain, moved = compare(samples, LABELS), compare([samples[i] for i in places], LABELS)
    assert moved.seed_sd == pytest.approx(plain.seed_sd)
    assert np.allclose(moved.means, plain.means[places])
    assert np.allclose(matrix(moved), matrix(plain)[np.ix_(places, places)])


@given(st.integers(1, 3), st.integers(2, 5))
@settings(max_examples=8, deadline=None)
def test_identical_configs_are_tied(num_seeds: int, num_configs: int) -> None:
    sample = sweep([tuple(range(num_seeds))])[0]
    found = compare([sample] * num_configs, LABELS)
    assert found.tied.all()
    assert found.lead_over(num_configs - 1)[0] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(found.lead_over(num_configs - 1)).all()


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_constant_predictions_have_no_score_and_tie_with_nothing(num_seeds: int) -> None:
    seeds = tuple(range(num_seeds))
    good, flat = sweep([seeds])[0], Sample(seeds, np.full((num_seeds, len(LABELS)), 0.1))
    found = compare([good, flat], LABELS)
    assert np.isfinite(found.intervals()[0]).all()
    assert np.isnan(found.means[1])
    assert found.tied.tolist() == [True, False]


def test_predictions_that_vary_on_one_item_alone_still_give_an_interval() -> None:
    almost = np.zeros_like(LABELS)
    almost[0] = 1.0
    assert np.isfinite(one_seed(noisy(LABELS, 1.0, 1), almost).intervals()).all()


@pytest.mark.long
@given(
    st.integers(0, 10_000),
    st.integers(2, 8) | st.integers(9, 60),
    st.sampled_from([None, 500]),
    st.booleans(),
)
# Two seeds of few configs: the seeds' variance is hardly known, and luck goes far.
@example(2523, 2, 500, True)
@example(231_294, 5, None, True)
@settings(max_examples=25, deadline=None)
def test_tied_is_who_the_first_has_no_lead_over_in_rankings_of_any_length(
    draw: int, num: int, num_rivals: int | None, two_seeds: bool
) -> None:
    """Draws are looked at in part where that is enough; the shortcut must not change a verdict."""
    rng = np.random.default_rng(draw)
    common = LABELS + rng.normal(scale=0.8, size=len(LABELS))
    samples = [
        Sample((0, 1)[: 1 + two_seeds], common + rng.normal(scale=s, size=(1 + two_seeds, 300)))
        for s in np.sort(rng.uniform(0.1, rng.uniform(0.2, 1.5), size=num))
    ]
    found = compare([*samples, samples[-1]], LABELS, num_rivals=num_rivals)
    whole = [found.lead_over(i)[1] <= 0 for i in range(1, num + 1)]
    assert found.tied[1:].tolist() == whole


def test_a_lead_among_those_chosen_from_many_is_less_sure() -> None:
    """Luck with the dev pairs took part in the choice, also where the seeds are fresh."""
    samples = [Sample((0,), noisy(LABELS, noise, i)[None]) for i, noise in enumerate((0.9, 1.0))]
    alone = compare(samples, LABELS).lead_over(1)
    chosen = compare(samples, LABELS, num_rivals=24).lead_over(1)
    assert chosen[0] == alone[0]
    assert chosen[1] < alone[1] < alone[2] < chosen[2]


def test_all_seeds_tell_of_the_seed_s_noise_and_none_of_them_moves_a_mean() -> None:
    rng = np.random.default_rng(21)
    runs = [np.stack([noisy(LABELS, 1.0, 100 * k + s) for s in range(5)]) for k in range(3)]
    runs = [r + rng.normal(scale=0.3, size=(5, 1)) for r in runs]
    few = [Sample((3, 4), r[3:]) for r in runs]
    alone = compare(few, LABELS)
    more = compare(few, LABELS, noise_from=[Sample(tuple(range(5)), r) for r in runs])
    assert np.allclose(alone.means, more.means)
    whole = compare([Sample(tuple(range(5)), r) for r in runs], LABELS)
    assert more.seed_sd == pytest.approx(whole.seed_sd)
    assert alone.seed_sd != pytest.approx(whole.seed_sd)
