"""What the order of two sentences does to an adapter's answers."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.core.metric import Metric


@dataclass(frozen=True)
class Asymmetry:
    """What the order of the sentences does to the scores of dev.

    `mean_difference` is the mean of |score(a, b) - score(b, a)|, in the units of the labels; of
    classes the share of answers that change. `score_change` is the score of the swapped pairs
    minus that of the pairs.
    """

    mean_difference: float
    score_change: float

    def in_words(self, metric: Metric) -> str:
        """One sentence."""
        moved = f"moves a dev score by {self.mean_difference:.3f} on average"
        if metric.of_classes:
            moved = f"changes {self.mean_difference:.1%} of the answers on dev"
        return (
            f"Exchanging the two sentences {moved} and dev {metric.word} by "
            f"{self.score_change:+.4f}."
        )

    def to_json(self, metric: Metric) -> dict[str, float]:
        change = f"{metric.name}_change"
        return {"mean_difference": self.mean_difference, change: self.score_change}
