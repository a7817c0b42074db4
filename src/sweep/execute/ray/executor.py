"""Packs as calls of Ray's actors, on one machine or many."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweep import __version__
from sweep.core.errors import SweepError
from sweep.execute.boundary import clear_leftovers
from sweep.execute.deaths import Deaths
from sweep.execute.folder.colleague import now
from sweep.execute.folder.hands import Hire
from sweep.execute.ray.actor import RayWorker, rungs_of
from sweep.execute.ray.cluster import join, leave, signals_let_out
from sweep.execute.ray.colleague import Colleague, Share, in_words
from sweep.execute.ray.parcels import Died, Greeting, Parcel, Printed, Said, unpacked
from sweep.loop.ports import Handle, Pack
from sweep.loop.trial import Evaluated, Finished, Paused
from sweep.study.exchange import Crew, ExchangeFiles, write_crew
from sweep.study.files import StudyFiles
from sweep.study.notes import asked_to_stop, forget_to_stop

#: Seconds: longest wait for an event, so that a signal to the driver is seen soon; between two
#: looks at notes; for actors to clear up.
_WAIT, _ROUND, _LEAVE = 0.25, 1.0, 5.0
#: Deaths of a lone run's actor that are too many: machines are lost for reasons of their own.
_MOST_DEATHS = 3
#: Actors in a row that have ended before they had come.
_MOST_FRUITLESS = 4
_ONE_CPU = Share()


class OnRay:
    """An `Executor` whose workers are actors.

    Everything goes through Ray: packs and rungs to an actor, events, rungs and what runs leave back
    to the driver, as bytes. So no disk is shared. Actors are asked for as packs need them: those
    that find no room are what an autoscaler sees.

    Args:
        files: Of the study.
        hire_in: Makes what trains, on the actor's machine.
        address: Of a cluster; None begins one here.
        workers: Most actors.
        share: Of the cluster, for each.
        pack_size: Most runs of a pack.
    """

    def __init__(
        self,
        files: StudyFiles,
        hire_in: Callable[[StudyFiles], Hire],
        *,
        address: str | None = None,
        workers: int = 1,
        share: Share = _ONE_CPU,
        pack_size: int = 1,
    ) -> None:
        self._is_ours = join(address, cpus=workers * share.cpus)
        import ray

        self._ray: Any = ray
        self._files, self._hire_in = files, hire_in
        self._workers, self._share, self._pack_size = workers, share, pack_size
        self._crew: list[Colleague] = []
        self._queue: deque[Pack] = deque()
        self._deaths = Deaths(_MOST_DEATHS)
        self._fruitless = 0
        self._paused = self._closed = False
        self._next_round = 0.0

    @property
    def pack_size(self) -> int:
        return self._pack_size

    @property
    def num_free(self) -> int:
        return self._workers - self.num_open

    @property
    def num_open(self) -> int:
        return len(self._queue) + sum(bool(one.runs) for one in self._crew)

    def submit(self, pack: Pack) -> None:
        self._queue.append(pack)
        self._dispatch()

    def stop(self, run_id: str, reason: str) -> None:
        for one in self._crew:
            if run_id in one.runs:
                one.actor.stop.remote(run_id, reason)

    def pause(self, *, at_step: bool = False) -> None:
        self._paused = True
        self._queue.clear()
        for one in self._crew:
            if one.runs:
                one.actor.pause.remote(at_step=at_step)

    def work(self, handle: Handle) -> None:
        self._dispatch()
        if time.monotonic() >= self._next_round:
            self._next_round = time.monotonic() + _ROUND
            self._go_round()
        by_wait = {one.waits_for: one for one in self._crew if one.waits_for is not None}
        with signals_let_out():
            for waited in self._ready(list(by_wait)):
                self._listen_to(by_wait[waited], handle)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.clear()
        with suppress(Exception):
            # They may be gone, and the cluster with them.
            leaving = [one.actor.leave.remote() for one in self._crew if one.greeting]
            self._ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVE)
        for one in self._crew:
            self._end(one)
        self._crew.clear()
        if self._is_ours:
            leave()
        with suppress(OSError):
            ExchangeFiles(self._files.exchange).crew.unlink(missing_ok=True)

    def _ready(self, waits: list[Any]) -> list[Any]:
        """Those of which there is news, as soon as there is some or the time is over."""
        if not waits:
            return []
        self._ray.wait(waits, timeout=_WAIT, fetch_local=False)
        ready, _ = self._ray.wait(waits, num_returns=len(waits), timeout=0, fetch_local=False)
        found: list[Any] = ready
        return found

    def _dispatch(self) -> None:
        if self._paused:
            return
        while len(self._crew) < min(self._workers, self.num_open):
            self._crew.append(self._called_for())
        for one in self._crew:
            if one.is_idle and self._queue:
                self._call(one, self._queue.popleft())

    def _called_for(self) -> Colleague:
        """An actor, as soon as the cluster has room for it."""
        kind = self._ray.remote(RayWorker).options(
            num_cpus=self._share.cpus,
            num_gpus=self._share.gpus,
            # A training, and beside it what is asked of its runs.
            max_concurrency=3,
        )
        actor = kind.remote(self._hire_in, threads=self._share.cpus)
        return Colleague(actor, actor.hello.remote())

    def _call(self, one: Colleague, pack: Pack) -> None:
        one.runs, one.since = {run.id: run for run in pack}, now()
        for run in pack:
            folder = self._files.run(run.id).folder
            folder.mkdir(parents=True, exist_ok=True)
            clear_leftovers(folder)
            forget_to_stop(folder)
        rungs = rungs_of(pack, self._files.runs)
        one.waits_for = one.actor.train.options(num_returns="streaming").remote(pack, rungs)

    def _listen_to(self, one: Colleague, handle: Handle) -> None:
        errors = self._ray.exceptions.RayError
        try:
            if one.greeting is None:
                self._greeted(one, self._ray.get(one.waits_for))
                return
            said: tuple[Said, ...] = self._ray.get(next(one.waits_for))
        except errors as error:
            self._lost(one, in_words(error), handle)
            return
        except StopIteration:
            self._lost(one, "it ended without a word", handle)
            return
        for each in said:
            self._hear(one, each, handle)
        if not one.runs:
            one.waits_for, one.since = None, now()

    def _greeted(self, one: Colleague, greeting: Greeting) -> None:
        if greeting.version != __version__:
            raise SweepError(
                f"An actor on {greeting.host} is of sweep {greeting.version}, the driver of "
                f"{__version__}: install the same version there."
            )
        one.greeting, one.waits_for, self._fruitless = greeting, None, 0

    def _hear(self, one: Colleague, said: Said, handle: Handle) -> None:
        if isinstance(said, Printed):
            with suppress(OSError):
                self._files.logs.mkdir(parents=True, exist_ok=True)
                with self._log(one).open("a", encoding="utf-8") as log:
                    log.write(said.text)
        elif isinstance(said, Died):
            self._put_back(one, said.cause, handle)
        elif said.run_id in one.runs:
            self._told(one, said, handle)

    def _told(self, one: Colleague, said: Parcel, handle: Handle) -> None:
        event, run_id = said.event, said.run_id
        if said.files:
            unpacked(said.files, self._files.run(run_id).folder)
        if isinstance(event, Evaluated):
            self._deaths.come_to(run_id, event.evaluation.step)
        if isinstance(event, Finished | Paused):
            del one.runs[run_id]
        if isinstance(event, Finished):
            self._files.run(run_id).remove_checkpoint()
        if event is not None:
            handle(event)

    def _lost(self, one: Colleague, cause: str, handle: Handle) -> None:
        """The actor is gone, with its machine or alone."""
        self._crew.remove(one)
        self._end(one)
        if one.greeting is None:
            self._fruitless += 1
            if self._fruitless >= _MOST_FRUITLESS:
                raise SweepError(
                    "Ray's actors end before they have come, "
                    f"{self._fruitless} times in a row: {cause}"
                )
        self._put_back(one, cause, handle)

    def _put_back(self, one: Colleague, cause: str, handle: Handle) -> None:
        runs, log = tuple(one.runs.values()), self._log(one)
        one.runs = {}
        if not self._paused:
            packs = self._deaths.put_back(runs, one.name, cause=cause, log=log, handle=handle)
            self._queue.extendleft(reversed(packs))

    def _go_round(self) -> None:
        """What need not be known at once: notes that were left, and who is there."""
        for run_id in [run_id for one in self._crew for run_id in one.runs]:
            folder = self._files.run(run_id).folder
            if reason := asked_to_stop(folder):
                forget_to_stop(folder)
                self.stop(run_id, reason)
        members = [one.member for one in self._crew if one.greeting]
        missing = len(self._crew) - len(members)
        jobs = f"{missing} of {len(self._crew)} actors wait for {self._share}" if missing else None
        with suppress(OSError):
            write_crew(self._files.exchange, Crew(tuple(members), len(self._queue), jobs))

    def _end(self, one: Colleague) -> None:
        with suppress(Exception):
            self._ray.kill(one.actor)

    def _log(self, one: Colleague) -> Path:
        return self._files.logs / f"{one.name}.log"
