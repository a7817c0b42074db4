"""The runs that a sweep needs: those that wait for a worker, and those that are with one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sweep.core.recipe import Recipe
from sweep.loop.packing import make_packs
from sweep.loop.ports import Pack, Records, Totals, Watcher
from sweep.loop.total import Total
from sweep.loop.trial import Outcome, Run


class RunQueue:
    """Runs under way, in the order in which they wait, and how many there will be in all.

    Args:
        study: Its name, for the watcher.
        total: Is kept right as runs turn out to be needed or not.
        records: Know what is done, and are told of every run that is taken up.
        watcher: Is told when there will be more or fewer runs.
        pack_key: Runs with equal keys may be trained together.
    """

    def __init__(
        self,
        *,
        study: str,
        total: Total,
        records: Records,
        watcher: Watcher,
        pack_key: Callable[[Recipe], str],
    ) -> None:
        self._study = study
        self.total = total
        self._records = records
        self._watcher = watcher
        self._pack_key = pack_key
        self._waiting: list[Run] = []
        self._under_way: dict[str, Run] = {}

    @property
    def num_waiting(self) -> int:
        """Runs that no worker has taken up."""
        return len(self._waiting)

    @property
    def totals(self) -> Totals:
        return Totals(self._study, self.total.runs)

    def __getitem__(self, run_id: str) -> Run:
        """A run that waits or is with a worker."""
        return self._under_way[run_id]

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._under_way

    def done(self, run_id: str) -> Outcome | None:
        """The outcome of a run that need not be trained again, if there is one."""
        return self._records.done(run_id)

    def add(self, run: Run) -> None:
        """Let the run wait; also one that comes back from a rung."""
        self._under_way[run.id] = run
        self._records.add(run)
        self._waiting.append(run)

    def remove(self, run: Run) -> None:
        """The run has ended."""
        del self._under_way[run.id]

    def take(self, num_packs: int, *, most: int) -> list[Pack]:
        """Up to so many packs, of at most `most` runs, which wait no more."""
        packs = make_packs(self._waiting, self._pack_key, most=most, workers=num_packs)
        self._waiting = [run for pack in packs[num_packs:] for run in pack]
        return packs[:num_packs]

    def spare(self, run_ids: Iterable[str]) -> None:
        """These will not be trained, except those that are, for another trial of their config."""
        self.total.spare(i for i in run_ids if i not in self and self.done(i) is None)
        self.say_total(None)

    def say_total(self, reason: str | None) -> None:
        """Tell the watcher how many runs there will be, and why, for people."""
        self._watcher.planned(self.totals, reason)
