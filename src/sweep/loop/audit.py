"""Which of the trials that are to be pruned are trained on, to learn what pruning costs."""

from __future__ import annotations

import random


class Audit:
    """Chooses a share of the trials, the same ones after an interruption; one at least.

    Args:
        share: In [0, 1]; 0 chooses none.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        #: Whether a trial has been chosen, in this start or an earlier one.
        self.any_chosen = False

    def chooses(self, number: int) -> bool:
        drawn = random.Random(f"audit {number}").random() < self._share
        chosen = self._share > 0 and (drawn or not self.any_chosen)
        self.any_chosen = self.any_chosen or chosen
        return chosen
