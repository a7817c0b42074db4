"""Which configs are worth another seed."""

from __future__ import annotations

from statistics import fmean

import numpy as np
from scipy.stats import t

#: Of a one-sided test; nothing is declared by it, only that more seeds would be wasted.
_LEVEL = 0.975


class Race:
    """Scores by config, and who may still be the best.

    A config is out when its mean lies further below the leader's than the luck of the seeds
    explains: a t test with the variance within configs, pooled over all that have two seeds or
    more. While there is none of these, nobody knows how much luck there is, and all are in.
    """

    def __init__(self) -> None:
        #: Scores on the seeds of the search, by `config_id`.
        self.scores: dict[str, list[float]] = {}
        self._leader: str | None = None
        # Kept up to date score by score: a study may have thousands of configs.
        self._squares = 0.0
        self._freedom = 0

    def add(self, config_id: str, score: float) -> None:
        scores = self.scores.setdefault(config_id, [])
        self._squares -= _squares(scores)
        scores.append(score)
        self._squares += _squares(scores)
        self._freedom += len(scores) > 1
        if self._leader in (None, config_id):
            # Its own mean may have fallen, so all are looked at.
            self._leader = max(self.scores, key=lambda config: fmean(self.scores[config]))
        elif fmean(scores) > fmean(self.scores[self._leader or ""]):
            self._leader = config_id

    def is_in(self, config_id: str) -> bool:
        """Whether the config may be the best; one without a score may."""
        own = self.scores.get(config_id)
        if not own or self._leader is None or self._freedom == 0:
            return True
        best = self.scores[self._leader]
        spread = np.sqrt(self._squares / self._freedom * (1 / len(own) + 1 / len(best)))
        return bool(fmean(best) - fmean(own) <= t.ppf(_LEVEL, self._freedom) * spread)


def _squares(scores: list[float]) -> float:
    """Sum of squared deviations from the mean."""
    return float(np.var(scores) * len(scores)) if len(scores) > 1 else 0.0
