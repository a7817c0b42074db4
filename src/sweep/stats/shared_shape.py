"""Score over log learning rate: every cell has its own top and its own place, all have one shape.

A shape-invariant model (Lawton, Sylvestre & Maggio, Technometrics 14, 1972, "Self modeling
nonlinear regression"): cells with five rates each borrow the shape from one another, so that top
and place, and they alone, are left to find. The shape is a bump on the floor of runs that learnt
nothing, with a width on either side: scores rise slowly towards the best rate and fall off a cliff
behind it. The loss is soft (Huber-like), for a seed may collapse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import t as student

from sweep.core.arrays import Floats
from sweep.stats.interval import Interval

#: Before anything is known: how far a place lies from the middle of the rates, in natural logs (a
#: decade), and a top from the mean of the cells' best scores. Both decide where scores do not, as
#: where all rates of a cell lie on one side of its best.
_PLACE_SPREAD, _TOP_SPREAD = float(np.log(10)), 0.2
#: Middle and spread of the logs of both widths, in natural logs of the rate.
_WIDTH, _WIDTH_SPREAD = float(np.log(1.5)), 1.0
#: Least noise of a score that is believed.
_LEAST_NOISE = 2e-3
_ROUNDS = 3
#: With fewer, errors of a fit this flexible come out too small.
_CONFIGS_A_PARAMETER = 1.5
#: Draws for intervals that hold together.
_NUM_DRAWS = 4000


@dataclass(frozen=True)
class Tried:
    """Configs `[K]`: log rate, score, cell; columns `[K, n]` that lift the top or move the place
    in all cells alike."""

    rates: Floats
    scores: Floats
    cells: tuple[int, ...]
    lifts: Floats
    moves: Floats

    @property
    def num_cells(self) -> int:
        return max(self.cells) + 1

    @property
    def num_parameters(self) -> int:
        return 2 * self.num_cells + int(self.lifts.shape[1] + self.moves.shape[1]) + 2

    @property
    def num_needed(self) -> int:
        """Configs below which nothing is fitted."""
        return math.ceil(_CONFIGS_A_PARAMETER * self.num_parameters)


@dataclass(frozen=True)
class Shape:
    """The fitted parameters in one row, with their covariance: tops, lifts, places, moves."""

    parameters: Floats
    covariance: Floats
    num_cells: int
    num_lifts: int
    free: int

    @property
    def tops(self) -> slice:
        """Of the cells: their score at their own best rate."""
        return slice(0, self.num_cells)

    @property
    def lifts(self) -> slice:
        return slice(self.num_cells, self.num_cells + self.num_lifts)

    @property
    def places(self) -> slice:
        """Of the cells: the log of their own best rate."""
        start = self.num_cells + self.num_lifts
        return slice(start, start + self.num_cells)

    def weights(self, part: slice, of_part: Floats) -> Floats:
        """Weights of a part's parameters, as weights of all."""
        found = np.zeros(len(self.parameters))
        found[part] = of_part
        return found

    def error(self, weights: Floats) -> float:
        return math.sqrt(max(float(weights @ self.covariance @ weights), 0.0))

    def interval(self, weights: Floats, *, stretch: float | None = None) -> Interval:
        """Of a weighted sum; `stretch` in standard errors, else that of 95 % for itself alone."""
        far = float(student.ppf(0.975, self.free)) if stretch is None else stretch
        value, half = float(weights @ self.parameters), far * self.error(weights)
        return Interval(value, value - half, value + half)

    def joint_stretch(self, pairs: Sequence[Floats]) -> float:
        """Standard errors on either side that hold for all of these weighted sums at once.

        The 95 % quantile of the largest of correlated t values (Hothorn, Bretz & Westfall,
        Biometrical Journal 50, 2008).
        """
        rows = np.array([pair / error for pair in pairs if (error := self.error(pair)) > 0])
        if not len(rows):
            return 0.0
        rng = np.random.default_rng([0, 7])
        values, axes = np.linalg.eigh(self.covariance)
        root = axes * np.sqrt(np.clip(values, 0, None))
        draws = rng.normal(size=(_NUM_DRAWS, len(values))) @ (rows @ root).T
        chi = np.sqrt(rng.chisquare(self.free, size=_NUM_DRAWS) / self.free)
        return float(np.quantile(np.abs(draws).max(axis=1) / chi, 0.95))


def fitted(tried: Tried) -> Shape | None:
    """The best fit; None where there are too few configs for it.

    The errors are those of a robust fit whose noise differs from config to config (White,
    Econometrica 48, 1980), with MacKinnon & White's (1985) correction for few configs: scores
    are noisier at high rates than at low ones.
    """
    if len(tried.scores) < tried.num_needed:
        return None
    model = _Model(tried)
    noise, parameters = 0.05, model.start()
    for _ in range(_ROUNDS):
        found = least_squares(
            model.residuals,
            parameters,
            jac=model.slopes,
            loss="soft_l1",
            x_scale=model.typical,
            args=(noise,),
            max_nfev=200,
        )
        parameters = found.x
        rest = model.predicted(parameters) - tried.scores
        spare = len(rest) / max(len(rest) - tried.num_parameters, 1)
        noise = max(1.4826 * float(np.median(np.abs(rest))) * float(np.sqrt(spare)), _LEAST_NOISE)
    return Shape(
        parameters,
        _sandwich(model, parameters, noise),
        tried.num_cells,
        tried.lifts.shape[1],
        len(tried.scores) - tried.num_parameters,
    )


class _Model:
    """Parameters to scores, and how these change with them."""

    def __init__(self, tried: Tried) -> None:
        self._tried = tried
        self._member = np.equal.outer(np.array(tried.cells), np.arange(tried.num_cells)) * 1.0
        self._tops = np.column_stack([self._member, tried.lifts])
        self._places = np.column_stack([self._member, tried.moves])
        self._ends = np.cumsum([self._tops.shape[1], self._places.shape[1]])
        self._floor = float(np.quantile(tried.scores, 0.02))
        self._middle = float(tried.rates.mean())

    @property
    def typical(self) -> Floats:
        """How far a parameter moves."""
        tops, places = self._tops.shape[1], self._places.shape[1]
        return np.concatenate([np.full(tops, 0.1), np.full(places, 0.5), np.full(2, 0.3)])

    @property
    def num_tops(self) -> int:
        """Parameters that are points of the score, the first ones."""
        return int(self._tops.shape[1])

    def start(self) -> Floats:
        """Every cell has its best score at the rate of the best third of its scores."""
        tried, tops, places = self._tried, [], []
        for cell in range(tried.num_cells):
            own = np.flatnonzero(np.array(tried.cells) == cell)
            best = own[np.argsort(-tried.scores[own])][: max(1, len(own) // 3)]
            tops.append(float(tried.scores[best].max()))
            places.append(float(tried.rates[best].mean()))
        parts = tops, np.zeros(tried.lifts.shape[1]), places, np.zeros(tried.moves.shape[1])
        return np.concatenate([*parts, [_WIDTH, _WIDTH]])

    def predicted(self, parameters: Floats) -> Floats:
        height, away, width = self._parts(parameters)
        return np.asarray(self._floor + height * np.exp(-0.5 * (away / width) ** 2))

    def residuals(self, parameters: Floats, noise: float) -> Floats:
        rest = (self.predicted(parameters) - self._tried.scores) / noise
        return np.concatenate([rest, self._priors(parameters)])

    def slopes(self, parameters: Floats, noise: float) -> Floats:
        return np.vstack([self.of_scores(parameters) / noise, np.diag(1 / self._spreads)])

    def of_scores(self, parameters: Floats) -> Floats:
        """How the scores change with the parameters, `[K, P]`."""
        height, away, width = self._parts(parameters)
        bump = np.exp(-0.5 * (away / width) ** 2)
        by_place = height * bump * away / width**2
        by_width = height * bump * (away / width) ** 2
        return np.column_stack(
            [
                self._tops * bump[:, None],
                self._places * by_place[:, None],
                by_width * (away < 0),
                by_width * (away >= 0),
            ]
        )

    def _parts(self, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """Height over the floor, log rate seen from the own best one, width on that side."""
        tops, places, widths = np.split(parameters, self._ends)
        away = self._tried.rates - self._places @ places
        return (
            self._tops @ tops - self._floor,
            away,
            np.exp(np.where(away < 0, widths[0], widths[1])),
        )

    def _priors(self, parameters: Floats) -> Floats:
        return np.asarray((parameters - self._expected) / self._spreads)

    def prior_information(self) -> Floats:
        return np.diag(self._spreads**-2.0)

    @cached_property
    def _expected(self) -> Floats:
        cells, lifts, moves = self._counts
        tops = [float(self.start()[:cells].mean())] * cells
        return np.array(
            [*tops, *[0.0] * lifts, *[self._middle] * cells, *[0.0] * moves, _WIDTH, _WIDTH]
        )

    @cached_property
    def _spreads(self) -> Floats:
        tops, places = self._tops.shape[1], self._places.shape[1]
        return np.array([*[_TOP_SPREAD] * tops, *[_PLACE_SPREAD] * places, *[_WIDTH_SPREAD] * 2])

    @property
    def _counts(self) -> tuple[int, int, int]:
        tried = self._tried
        return tried.num_cells, tried.lifts.shape[1], tried.moves.shape[1]


def _sandwich(model: _Model, parameters: Floats, noise: float) -> Floats:
    """Covariance of the parameters, `[P, P]`.

    Corrected for few configs by HC2, in which tops cover what they should in made-up studies. A
    place is no linear function of the scores: its error is that of the more cautious HC3.
    """
    slopes = model.of_scores(parameters) / noise
    rest = model.residuals(parameters, noise)[: len(slopes)]
    curved = (1 + rest**2) ** -1.5
    prior = model.prior_information()
    inverse = np.linalg.pinv((slopes * curved[:, None]).T @ slopes + prior)
    leverage = np.clip(curved * np.einsum("kp,pq,kq->k", slopes, inverse, slopes), 0, 0.95)
    pull = rest**2 / (1 + rest**2)

    def covariance(squares: Floats) -> Floats:
        met = (slopes * squares[:, None]).T @ slopes + prior
        return np.asarray(inverse @ met @ inverse)

    found, cautious = covariance(pull / (1 - leverage)), covariance(pull / (1 - leverage) ** 2)
    wider = np.sqrt(np.diag(cautious) / np.diag(found))
    wider[: model.num_tops] = 1.0
    return np.asarray(found * np.outer(wider, wider))
