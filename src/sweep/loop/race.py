"""Which configs are worth another seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

from scipy.stats import t, wilcoxon

from sweep.loop.rules import RaceRule

#: Of one config, by seed.
Scores = Mapping[int, float]

# Both tests are one-sided. Nothing is declared by them, only that more seeds would be wasted.
_T_LEVEL = 0.025
#: The default of Optuna's `WilcoxonPruner`. At 0.025 it would take six seeds to say anything.
_WILCOXON_LEVEL = 0.1
#: n seeds that all say the same have p = 1/2^n: with fewer than four the level is out of reach.
_FEWEST_IN_COMMON = math.ceil(-math.log2(_WILCOXON_LEVEL))


def fewest_seeds(rule: RaceRule) -> int:
    """Seeds that every config is trained with, however weak, as far as there are so many."""
    return _FEWEST_IN_COMMON if rule == "wilcoxon" else 1


class Race:
    """Scores by config and seed, and who may still be the best.

    The config with the best mean leads; another one is out while the rule finds it behind.

    Args:
        rule: True takes `_beyond_luck`, "wilcoxon" `_below_seed_by_seed`; False rules nobody out.
    """

    def __init__(self, rule: RaceRule = True) -> None:
        self._is_behind = _RULES[rule]
        self._scores: dict[str, dict[int, float]] = {}
        self._leader: str | None = None
        self._luck = _Luck()

    @property
    def scores(self) -> dict[str, list[float]]:
        """Scores on the seeds of the search, by `config_id`."""
        return {config_id: list(by_seed.values()) for config_id, by_seed in self._scores.items()}

    def add(self, config_id: str, seed: int, score: float) -> None:
        scores = self._scores.setdefault(config_id, {})
        self._luck.take_out(scores)
        scores[seed] = score
        self._luck.put_in(scores)
        if self._leader is None or self._leader == config_id:
            # Its own mean may have fallen, so all are looked at.
            self._leader = max(self._scores, key=self._mean)
        elif self._mean(config_id) > self._mean(self._leader):
            self._leader = config_id

    def is_in(self, config_id: str) -> bool:
        """Whether the config may be the best; one without a score may."""
        own = self._scores.get(config_id)
        if own is None or self._leader is None:
            return True
        return not self._is_behind(own, self._scores[self._leader], self._luck)

    def _mean(self, config_id: str) -> float:
        return fmean(self._scores[config_id].values())


@dataclass
class _Luck:
    """The variance within configs, pooled over all that have two seeds or more.

    Kept up to date score by score: a study may have thousands of configs.
    """

    squares: float = 0.0
    freedom: int = 0

    @property
    def variance(self) -> float:
        # What is put in and taken out again may leave a rounding below 0.
        return max(0.0, self.squares) / self.freedom

    def put_in(self, scores: Scores) -> None:
        self._count(scores, 1)

    def take_out(self, scores: Scores) -> None:
        self._count(scores, -1)

    def _count(self, scores: Scores, sign: int) -> None:
        if len(scores) > 1:
            mean = fmean(scores.values())
            self.squares += sign * math.fsum((score - mean) ** 2 for score in scores.values())
            self.freedom += sign * (len(scores) - 1)


def _beyond_luck(own: Scores, best: Scores, luck: _Luck) -> bool:
    """Whether the mean lies further below the leader's than the luck of the seeds explains.

    A t test with the pooled variance. While no config has two seeds, nobody knows how much luck
    there is, and none is behind.
    """
    if luck.freedom == 0:
        return False
    error = math.sqrt(luck.variance * (1 / len(own) + 1 / len(best)))
    behind = fmean(best.values()) - fmean(own.values())
    return bool(behind > t.isf(_T_LEVEL, luck.freedom) * error)


def _below_seed_by_seed(own: Scores, best: Scores, luck: _Luck) -> bool:
    """Whether the scores lie below the leader's on the seeds that both have.

    The signed-rank test of Wilcoxon (1945), exact: https://docs.scipy.org/doc/scipy/reference/
    generated/scipy.stats.wilcoxon.html. It takes no variances to be equal and nothing to be
    normal, and what a seed does to all configs alike does not count. Seeds on which the two are
    equal say nothing; with fewer than four others (`_FEWEST_IN_COMMON`) none is behind.
    """
    # Where differences tie, scipy goes through all signs of up to 13; for more it approximates.
    pairs = [own[seed] - best[seed] for seed in own.keys() & best.keys()]
    apart = [difference for difference in pairs if difference]
    if len(apart) < _FEWEST_IN_COMMON:
        return False
    return bool(wilcoxon(apart, alternative="less").pvalue <= _WILCOXON_LEVEL)


def _never(own: Scores, best: Scores, luck: _Luck) -> bool:
    return False


_RULES: Mapping[RaceRule, Callable[[Scores, Scores, _Luck], bool]] = {
    False: _never,
    True: _beyond_luck,
    "wilcoxon": _below_seed_by_seed,
}
