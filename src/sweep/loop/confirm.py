"""Confirmation: the leaders are trained again, on seeds that the search never used.

The best of many configs looks better than it is, because luck was one of the things it was
chosen for. Scores on fresh seeds know nothing of that choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from statistics import fmean

from sweep.loop.trial import Run

#: Seeds of a config that a spread can be told from.
_FEWEST_SEEDS = 2


@dataclass(frozen=True)
class Confirming:
    """A confirmation that was begun: which configs, on which fresh seeds."""

    config_ids: tuple[str, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, runs: Iterable[tuple[str, int]]) -> Confirming:
        """What these runs, by `config_id` and seed, were begun for."""
        found = list(runs)
        return cls(
            tuple(dict.fromkeys(config_id for config_id, _ in found)),
            tuple(sorted({seed for _, seed in found})),
        )

    def progress(self, done: Mapping[str, Collection[int]]) -> tuple[int, int]:
        """Runs that are done, and those that there are to be.

        Args:
            done: Fresh seeds with a score, by `config_id`.
        """
        scored = sum(len(set(self.seeds) & set(done.get(i, ()))) for i in self.config_ids)
        return scored, len(self.config_ids) * len(self.seeds)

    def counts(
        self, done: Mapping[str, Collection[int]], ended: Mapping[str, Collection[int]]
    ) -> bool:
        """Whether every config has more than half of its fresh seeds, or no more to come.

        Before that, whoever happens to come first would be the only one that is judged.

        Args:
            done: Fresh seeds with a score, by `config_id`.
            ended: Those without one: failed, or stopped.
        """
        seeds = set(self.seeds)
        if self.config_ids and not any(seeds & set(done.get(i, ())) for i in self.config_ids):
            return False
        return all(
            2 * len(seeds & set(done.get(i, ()))) > len(seeds)
            or seeds <= {*done.get(i, ()), *ended.get(i, ())}
            for i in self.config_ids
        )

    def after(self, last: int) -> Confirming | None:
        """What of it lies behind the search's last seed: a search that grew has taken the rest."""
        left = tuple(seed for seed in self.seeds if seed > last)
        return replace(self, seeds=left) if left else None


@dataclass(frozen=True)
class Confirmation:
    """Which configs are confirmed, and how often.

    Args:
        top: Configs with the best means; 0 confirms nothing.
        seeds: Fresh seeds of each.
        each: Name of a dimension: the best config of each of its `top` labels, in place of the
            best of all.
        baseline: `config_id` that is always among them, where it was tried, pruned or not.
        most: Runs at most; seeds are saved where it is too little, and then leaders.
        spare: Runs beyond that, which the search has left: they go to more leaders, and once all
            configs are among them to more seeds.
    """

    top: int
    seeds: int
    each: str | None = None
    baseline: str | None = None
    most: int | None = None
    spare: int = 0

    @property
    def most_runs(self) -> int:
        """Runs that it takes where the baseline is not among the leaders."""
        if self.spare:
            return self._room
        kept = self._as_room_allows([str(number) for number in range(self._num_planned)])
        return len(kept) * len(self.fresh_seeds(len(kept), used=(0,)))

    def expected_seeds(self, used: Sequence[int]) -> list[int]:
        """Fresh seeds of each config, before anybody knows which those are."""
        kept = self._as_room_allows([str(number) for number in range(self._num_planned)])
        return self.fresh_seeds(len(kept), used=used)

    def configs(
        self,
        scores: Mapping[str, Sequence[float]],
        *,
        tried: Collection[str],
        labels: Mapping[str, object] | None = None,
    ) -> list[str]:
        """The leaders, best first, and the baseline; none where there was nothing to choose.

        Args:
            scores: Of the search, by `config_id`.
            tried: Every config that was trained, to the end or not.
            labels: Of the dimension `each`, by `config_id`.
        """
        top = self.top
        if self.spare:
            top = max(top, 2, self._room // self.seeds - (self.baseline is not None))
        ordered = sorted(scores, key=lambda config_id: -fmean(scores[config_id]))
        if labels is not None:
            first_of = {labels[config_id]: config_id for config_id in reversed(ordered)}
            ordered = [name for name in ordered if first_of[labels[name]] == name]
        leaders = ordered[:top]
        if not leaders or len(tried) < 2:
            return []
        chosen = leaders
        if self.baseline is not None and self.baseline in tried and self.baseline not in leaders:
            chosen = [*leaders, self.baseline]
        return self._as_room_allows(chosen)

    def planned(
        self,
        scores: Mapping[str, Sequence[float]],
        *,
        run_of: Mapping[str, Run],
        used: Sequence[int],
    ) -> tuple[Confirming, list[Run]]:
        """What is to be confirmed, and its runs, seed by seed; none where nothing was chosen.

        Args:
            scores: Of the search, by `config_id`.
            run_of: A run of every config that was trained, to the end or not.
            used: Seeds of the search.
        """
        labels = None
        if self.each is not None:
            labels = {name: run_of[name].params.get(self.each) for name in scores}
        configs = self.configs(scores, tried=run_of, labels=labels)
        seeds = self.fresh_seeds(len(configs), used=used)
        templates = [replace(run_of[config_id], until=None) for config_id in configs]
        runs = [
            replace(run, recipe=replace(run.recipe, seed=seed))
            for seed in seeds
            for run in templates
        ]
        return Confirming(tuple(configs), tuple(seeds)), runs

    def fresh_seeds(self, num_configs: int, *, used: Sequence[int]) -> list[int]:
        """Seeds that the search has not used; none where there is no room for two of them."""
        if num_configs == 0:
            return []
        each = self._room // num_configs
        if not self.spare:
            each = min(self.seeds, each)
        if each < min(_FEWEST_SEEDS, self.seeds):
            return []
        return list(islice(count(max(used) + 1), each))

    @property
    def _num_planned(self) -> int:
        """Configs without the spare runs."""
        return self.top + (self.baseline is not None) if self.top else 0

    @property
    def _room(self) -> int:
        """Runs at most, spare ones included."""
        planned = self._num_planned * self.seeds
        return (planned if self.most is None else min(planned, self.most)) + self.spare

    def _as_room_allows(self, chosen: list[str]) -> list[str]:
        """Fewer leaders rather than too few seeds; a single config of several says nothing."""
        room = min(len(chosen), self._room // min(_FEWEST_SEEDS, self.seeds))
        if room < min(2, len(chosen)):
            return []
        kept = list(chosen)
        while len(kept) > room:
            last = max(i for i, config_id in enumerate(kept) if config_id != self.baseline)
            del kept[last]
        return kept


NO_CONFIRMATION = Confirmation(top=0, seeds=1)
