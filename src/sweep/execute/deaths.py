"""What becomes of runs whose worker has died."""

from __future__ import annotations

from sweep.loop.ports import Handle, Pack
from sweep.loop.trial import Finished, Outcome, PutBack, Run, RunState


class Deaths:
    """Counts how often a run's worker has died.

    Whose fault the death of a pack was, nobody knows: its runs come back in halves, and one fails
    when its worker has died so often and it was alone the last time.

    Args:
        most: Deaths of a run that are too many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._deaths: dict[str, int] = {}
        self._steps: dict[str, int] = {}

    def come_to(self, run_id: str, step: int) -> None:
        """A run that gets further than ever is not what its workers die of."""
        if step > self._steps.get(run_id, 0):
            self._steps[run_id] = step
            self._deaths.pop(run_id, None)

    def after(self, runs: Pack) -> list[Pack]:
        """What to train now that the worker of these is dead; nothing at the last."""
        for run in runs:
            self._deaths[run.id] = self._deaths.get(run.id, 0) + 1
        if len(runs) == 1 and self._deaths[runs[0].id] >= self._most:
            return []
        middle = (len(runs) + 1) // 2
        return [part for part in (runs[:middle], runs[middle:]) if part]

    def put_back(
        self, runs: Pack, worker: str, *, cause: str, log: object, handle: Handle
    ) -> list[Pack]:
        """What to train now that a worker is dead, and what is told of its runs."""
        packs = self.after(runs) if runs else []
        for run in runs:
            if packs:
                handle(PutBack(run.id, worker, cause))
            else:
                handle(Finished(run.id, self.failure(run, worker, cause=cause, log=log)))
        return packs

    def failure(self, run: Run, worker: str, *, cause: str, log: object) -> Outcome:
        """Of a run that has had its last chance."""
        times = {2: "twice"}.get(self._most, f"{self._most} times")
        reason = f"its worker process died {times} ({cause}); log: {log}"
        return Outcome(RunState.FAILED, reason=reason, worker=worker)
