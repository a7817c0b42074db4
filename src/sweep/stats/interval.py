"""A number and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.core.words import difference_with_interval, score_with_interval


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    ci_low: float
    ci_high: float

    @property
    def is_clear(self) -> bool:
        """Whether its sign is sure."""
        return self.ci_low > 0 or self.ci_high < 0

    @property
    def turned(self) -> Interval:
        """The same difference, seen from the other side."""
        return Interval(-self.value, -self.ci_high, -self.ci_low)

    @property
    def as_score(self) -> str:
        """`0.8490 (95 % interval 0.819 to 0.875)`."""
        return score_with_interval(self.value, self.ci_low, self.ci_high)

    @property
    def as_difference(self) -> str:
        """`+0.0663 (95 % interval +0.0388 to +0.0933)`."""
        return difference_with_interval(self.value, self.ci_low, self.ci_high)
