"""Confirmation: the leaders are trained again, on seeds that the search never used.

The best of many configs looks better than it is, because luck was one of the things it was
chosen for. Scores on fresh seeds know nothing of that choice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from statistics import fmean

#: Seeds of a config that a spread can be told from.
_FEWEST_SEEDS = 2


@dataclass(frozen=True)
class Confirmation:
    """Which configs are confirmed, and how often.

    Args:
        top: Configs with the best means; 0 confirms nothing.
        seeds: Fresh seeds of each.
        baseline: `config_id` that is always among them, where it was tried, pruned or not.
        most: Runs at most; seeds are saved where it is too little, and then leaders.
    """

    top: int
    seeds: int
    baseline: str | None = None
    most: int | None = None

    @property
    def most_runs(self) -> int:
        """Runs that it takes where the baseline is not among the leaders."""
        configs = self.top + (self.baseline is not None) if self.top else 0
        kept = self._as_room_allows([str(number) for number in range(configs)])
        return len(kept) * len(self.fresh_seeds(len(kept), used=(0,)))

    def configs(
        self, scores: Mapping[str, Sequence[float]], *, tried: Collection[str]
    ) -> list[str]:
        """The leaders, best first, and the baseline; none where there was nothing to choose.

        Args:
            scores: Of the search, by `config_id`.
            tried: Every config that was trained, to the end or not.
        """
        leaders = sorted(scores, key=lambda config_id: -fmean(scores[config_id]))[: self.top]
        if not leaders or len(tried) < 2:
            return []
        chosen = leaders
        if self.baseline is not None and self.baseline in tried and self.baseline not in leaders:
            chosen = [*leaders, self.baseline]
        return self._as_room_allows(chosen)

    def _as_room_allows(self, chosen: list[str]) -> list[str]:
        """Fewer leaders rather than too few seeds; a single config of several says nothing."""
        room = len(chosen)
        if self.most is not None:
            room = min(room, self.most // min(_FEWEST_SEEDS, self.seeds))
        if room < min(2, len(chosen)):
            return []
        kept = list(chosen)
        while len(kept) > room:
            last = max(i for i, config_id in enumerate(kept) if config_id != self.baseline)
            del kept[last]
        return kept

    def fresh_seeds(self, num_configs: int, *, used: Sequence[int]) -> list[int]:
        """Seeds that the search has not used; none where there is no room for two of them."""
        if num_configs == 0:
            return []
        room = self.seeds if self.most is None else min(self.seeds, self.most // num_configs)
        if room < min(_FEWEST_SEEDS, self.seeds):
            return []
        return list(islice(count(max(used) + 1), room))
