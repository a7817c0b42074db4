"""Paired comparison: what is the same does not differ, what is better does."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.stats.paired import (
    SeedLuck,
    difference_of_studies,
    mean_score,
    paired_difference,
)
from sweep.stats.statistics import Sample


def test_interval_holds_the_score_and_pairs_are_narrower_than_either() -> None:
    rng = np.random.default_rng(0)
    labels = rng.normal(size=400)
    shared = rng.normal(size=400)
    one, other = labels + shared, labels + shared + 0.1 * rng.normal(size=400)
    score = mean_score([one], labels)
    assert score.value == pytest.approx(np.corrcoef(one, labels)[0, 1])
    assert score.ci_low < score.value < score.ci_high
    gap = paired_difference(Sample((0,), one[None]), Sample((0,), other[None]), labels)
    assert gap.ci_high - gap.ci_low < (score.ci_high - score.ci_low) / 3
    assert gap.value == pytest.approx(score.value - mean_score([other], labels).value)


def test_run_against_itself_is_exactly_no_difference() -> None:
    rng = np.random.default_rng(0)
    labels, run = rng.normal(size=50), Sample((0,), rng.normal(size=(1, 50)))
    gap = paired_difference(run, run, labels)
    assert (gap.value, gap.ci_low, gap.ci_high) == (0, 0, 0)
    assert gap.as_difference == "+0.0000 (95 % interval +0.0000 to +0.0000)"


@pytest.mark.long
@pytest.mark.parametrize("same_seeds", [True, False])
def test_luck_of_the_seeds_makes_no_winner(same_seeds: bool) -> None:
    """Two equal configs with three seeds each: 0 lies outside in about 5 % of the cases."""
    outside = 0
    for draw in range(100):
        rng = np.random.default_rng(draw)
        labels = rng.normal(size=300)
        common = labels + 0.6 * rng.normal(size=300)

        def config(*seeds: int, rng: np.random.Generator = rng, x: np.ndarray = common) -> Sample:
            # A seed's own luck is how noisy its run came out.
            noise = [abs(0.3 + 0.1 * rng.normal()) * rng.normal(size=300) for _ in seeds]
            return Sample(seeds, np.stack([x + n for n in noise]))

        one, other = config(0, 1, 2), config(*((0, 1, 2) if same_seeds else (3, 4, 5)))
        gap = paired_difference(one, other, labels)
        outside += not gap.ci_low <= 0 <= gap.ci_high
    assert outside <= 11


@pytest.mark.long
@pytest.mark.parametrize("others", [0, 7])
def test_luck_that_studies_do_not_share_makes_no_winner(others: int) -> None:
    """A seed moves all configs of the first study alike, and the one of the second by itself."""
    outside = 0
    for draw in range(100):
        rng = np.random.default_rng(draw)
        labels = rng.normal(size=300)
        common = labels + 0.5 * rng.normal(size=300)

        def run(off: float, rng: np.random.Generator = rng, x: np.ndarray = common) -> np.ndarray:
            return x + abs(off) * rng.normal(size=300)

        shared = 0.3 + 0.1 * rng.normal(size=3)
        first = [
            Sample((1, 2, 3), np.stack([run(s + 0.01 * rng.normal()) for s in shared]))
            for _ in range(1 + others)
        ]
        second = Sample((1, 2, 3), np.stack([run(0.3 + 0.1 * rng.normal()) for _ in range(3)]))
        gap = difference_of_studies(first[0], second, labels, luck=(first, [second]))
        outside += not gap.ci_low <= 0 <= gap.ci_high
    assert outside <= 12


@pytest.mark.long
def test_two_seeds_tell_what_is_far_apart_where_others_tell_their_luck() -> None:
    """0.1 Pearson apart, seed SD 0.02: alone, one degree of freedom is left."""
    told = widest = 0.0
    for draw in range(40):
        rng = np.random.default_rng(draw)
        labels = rng.normal(size=500)
        common = labels + 0.5 * rng.normal(size=500)

        def config(off: float, *seeds: int, rng: np.random.Generator = rng,
                   x: np.ndarray = common) -> Sample:  # fmt: skip
            noise = [abs(off + 0.06 * rng.normal()) * rng.normal(size=500) for _ in seeds]
            return Sample(seeds, np.stack([x + n for n in noise]))

        one, other = config(0.3, 1, 2), config(0.75, 1, 2)
        rest = tuple(config(0.4, 0, 1, 2) for _ in range(4))
        gap = paired_difference(one, other, labels, luck=SeedLuck(rest, labels))
        told += gap.ci_low > 0
        widest = max(widest, gap.ci_high - gap.ci_low)
    assert told >= 36
    assert widest < 0.3
