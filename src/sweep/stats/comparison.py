"""Configs beside the best one: intervals, who is tied with it, by how much it leads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from sweep.core.arrays import Flags, Floats, Indices

#: One-sided error of "worse than the best" and of each end of an interval: 95 % two-sided.
ERROR = 0.025
#: A share of the draws that is still told by counting; smaller ones by the tail of Student's t.
FINEST = 0.005
#: Of each draw, so many configs that have most luck in it are looked at first: whoever beats a
#: config is mostly among them, however long the ranking.
_LUCKIEST = 16
#: Configs that are looked at together.
_CONTROLS = 64
#: What of a score is rounding. Of two equal configs, the standard error of their difference
#: comes out as the root of what rounding leaves of variances: some 1e-9.
_NOTHING = 1e-7


def error_of_look(number: int) -> float:
    """One-sided error of a study's verdict, the first one 1.

    The first look has it as if it were the only one, all later ones together as much again:
    1/(n (n - 1)) sums up to 1 over all n > 1, however many looks there will be. By Bonferroni's
    bound that holds whatever a look rests on. Source: spending of error over looks, Lan & DeMets,
    Biometrika 70 (1983), 659-663.
    """
    return ERROR / max(1, number * (number - 1))


def farther_out(share: float, free: float) -> float:
    """How many times farther out the end that holds `share` lies than that of `FINEST`; 1 where
    that can be counted. Of Student's t."""
    if share >= FINEST:
        return 1.0
    return float(student.isf(share, free) / student.isf(FINEST, free))


@dataclass(frozen=True)
class Covariance:
    """Of K means: `factorsᵀ factors + diag(own)`, from factors `[F, K]` and own `[K]`.

    Never the matrix as a whole, which would grow with the square of the configs.
    """

    factors: Floats
    own: Floats

    @cached_property
    def variances(self) -> Floats:
        """The diagonal, `[K]`."""
        return np.asarray(np.einsum("fk,fk->k", self.factors, self.factors) + self.own)

    def rows(self, places: Indices) -> Floats:
        """Covariances of some of them with all, `[len(places), K]`."""
        rows = self.factors[:, places].T @ self.factors
        rows[np.arange(len(places)), places] += self.own[places]
        return np.asarray(rows, dtype=np.float64)


@dataclass(frozen=True)
class Comparison:
    """K configs on the same dev pairs, the leading one first.

    `means` `[K]` are scores averaged over seeds, NaN for a config whose predictions have none.
    `deviations` `[B, K]` are draws of (mean - expectation), joint over configs, and `covariance` is
    theirs without the uncertainty of the seeds' variance. `seed_sd` is the standard deviation
    between runs of one config, pooled; None where no config has two seeds.
    `num_rivals` are the configs that these were chosen from on the same dev pairs, if not all.
    `tail` bounds how many times wider than by `covariance` a difference is spread in any one draw.
    `free` are the degrees of freedom of the seeds' variance. `looks` counts the verdicts on the
    growing study, this one included: ties and leads allow for all of them.
    """

    means: Floats
    deviations: Floats
    covariance: Covariance
    seed_sd: float | None
    num_rivals: int | None = None
    tail: float = 1.0
    free: float = np.inf
    looks: int = 1
    #: Two scores are no farther apart.
    widest: float = 2.0

    @property
    def dev_sd(self) -> float:
        """Standard error of a score, from dev pairs and seeds; the median config's."""
        return float(np.sqrt(np.nanmedian(self.covariance.variances)))

    def intervals(self) -> Floats:
        """95 % percentile interval of each mean, `[K, 2]`."""
        ends = np.quantile(self.deviations, [ERROR, 1 - ERROR], axis=0).T
        return np.asarray(self.means[:, None] + ends, dtype=np.float64)

    @cached_property
    def tied(self) -> Flags:
        """Configs that can't be told from the first, `[K]`: where it has the highest mean, they
        hold the truly best one in at least 97.5 % of sweeps.

        Each config is taken as control in turn and leaves where the first is ahead of it by more
        than the luckiest of all would be, were they equal. Source: Hsu, Multiple Comparisons
        (1996), chapter 4, with the joint distribution of the draws in the place of Dunnett's.
        """
        ahead, errors = self.means[0] - self.means, self._errors(0)
        # No quantile of a maximum is that far out: most of a long ranking costs nothing.
        ahead = np.where(np.abs(ahead) < _NOTHING, 0.0, ahead)
        farthest = norm.isf(error_of_look(self.looks) / max(len(ahead), self.num_rivals or 0))
        limit = 2 * farthest * self.tail
        tied: Flags = np.asarray(ahead <= limit * errors)
        open_ones = np.flatnonzero(tied & (ahead > 0))
        for start in range(0, len(open_ones), _CONTROLS):
            controls = open_ones[start : start + _CONTROLS]
            for control, distances in zip(controls, self._errors_of(controls), strict=True):
                lead = ahead[control] / errors[control]
                tied[control] = self._can_be_luck(control, lead, distances)
        return tied

    @cached_property
    def near(self) -> Flags:
        """Configs that are at most one standard error of the difference behind the first, `[K]`.

        Far fewer than `tied`: that set must not lose the best one to chance, however little is
        known. What is handed over in the best one's place should be as good as far as anybody can
        tell, not merely not worse for sure. Source: the one-standard-error rule of Breiman et al.,
        Classification and Regression Trees (1984), section 3.4.3, on paired differences.
        """
        ahead, errors = self.means[0] - self.means, self._errors(0)
        return np.asarray(ahead <= np.maximum(errors, _NOTHING)) & self.tied

    def lead_over(self, control: int) -> tuple[float, float, float]:
        """Difference of the first config from another, with its 95 % interval.

        The interval is simultaneous over all configs, so the first may be chosen on the same runs;
        its lower end is above 0 exactly where `control` is not tied.
        """
        difference, error = float(self.means[0] - self.means[control]), self._errors(0)[control]
        low, high = (float(self._luck(control, sign) * error) for sign in (+1, -1))
        most = self.widest
        return difference, max(difference - low, -most), min(difference + high, most)

    def _errors(self, control: int) -> Floats:
        """Standard error of each config's difference from one, `[K]`."""
        return np.asarray(self._errors_of(np.array([control]))[0], dtype=np.float64)

    def _errors_of(self, controls: Indices) -> Floats:
        """Standard errors of all differences from some of them, `[len(controls), K]`."""
        variances = self.covariance.variances
        squares = variances + variances[controls, None] - 2 * self.covariance.rows(controls)
        return np.asarray(np.sqrt(np.maximum(squares, 0)), dtype=np.float64)

    def _luck(self, control: int, sign: int) -> float:
        """How many standard errors the most deviating of equal configs is ahead of (`sign` 1) or
        behind (-1) one of them in all but `_share_of_error` of the cases."""
        errors = self._errors(control)
        others = np.flatnonzero(errors > _NOTHING)
        if not others.size:
            return 0.0
        ahead = self.deviations[:, others] - self.deviations[:, [control]]
        luckiest = (sign * ahead / errors[others]).max(axis=1)
        return float(np.quantile(luckiest, 1 - self._counted) * self._beyond)

    @property
    def _share_of_error(self) -> float:
        """Fresh seeds don't undo a choice by luck with the dev pairs: those that were not confirmed
        count as if they were here (Bonferroni's bound)."""
        others = len(self.means) - 1
        error = error_of_look(self.looks)
        return error * others / max((self.num_rivals or 0) - 1, others)

    @property
    def _counted(self) -> float:
        """The share of the draws that is counted for it."""
        return max(self._share_of_error, FINEST)

    @property
    def _beyond(self) -> float:
        """How much farther out the wanted share lies than the one that is counted."""
        return farther_out(self._share_of_error, self.free)

    def _can_be_luck(self, control: int, lead: float, errors: Floats) -> bool:
        """Whether `lead`, in standard errors, is no more than `_luck(control, +1)`.

        The same answer from counting the draws in which some config is that far ahead: of each
        draw, the luckiest configs are looked at first, and all of them only where that leaves it
        open.
        """
        place = (len(self.deviations) - 1) * (1 - self._counted)
        fewest = len(self.deviations) - int(np.ceil(place))
        far = np.where(errors > _NOTHING, lead / self._beyond * errors, np.inf)
        ahead = self._most_luck - self.deviations[:, [control]]
        beaten: Flags = np.any(ahead >= far[self._luckiest], axis=1)
        unclear = ~beaten & (ahead[:, 0] >= far.min())
        if beaten.sum() <= fewest and unclear.any():
            rest = self.deviations[unclear] - self.deviations[unclear, control, None]
            beaten[unclear] = np.any(rest >= far, axis=1)
        if beaten.sum() == fewest:  # The quantile lies between two draws.
            return lead <= self._luck(control, +1)
        return bool(beaten.sum() > fewest)

    @cached_property
    def _luckiest(self) -> Indices:
        """`[B, L]`: the configs with the highest deviations in each draw, the lowest first."""
        last = max(self.deviations.shape[1] - _LUCKIEST, 0)
        return np.argpartition(self.deviations, last, axis=1)[:, last:].copy()

    @cached_property
    def _most_luck(self) -> Floats:
        """Their deviations, `[B, L]`."""
        return np.take_along_axis(self.deviations, self._luckiest, axis=1)
