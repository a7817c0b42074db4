"""How many runs a sweep will have, as far as is known by now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Total:
    """Runs of the search and its confirmation, less those that turn out not to be worth training.

    By id: several trials may stand for one run, which is spared once.
    """

    planned: int
    _spared: set[str] = field(default_factory=set)

    @property
    def runs(self) -> int:
        return self.planned - len(self._spared)

    def spare(self, run_ids: Iterable[str]) -> None:
        """These runs will not be trained."""
        self._spared |= set(run_ids)

    def train(self, run_id: str) -> None:
        """This one will, after all."""
        self._spared.discard(run_id)
