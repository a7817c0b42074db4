"""Packs as files in the study's folder, for workers that come and go."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sweep.execute.boundary import clear_leftovers
from sweep.execute.deaths import Deaths
from sweep.execute.folder.colleague import Colleague
from sweep.execute.folder.desk import Desk
from sweep.execute.folder.disk import names_in
from sweep.execute.folder.home import bring_all_home, bring_home
from sweep.execute.folder.messages import Bye, Hello, Message, Terms, Told, Took
from sweep.execute.folder.pulse import Pulse
from sweep.execute.folder.session import Session
from sweep.loop.ports import Handle, Pack
from sweep.loop.trial import Evaluated, Event, Finished, Paused, PutBack, Run, Started
from sweep.study.exchange import Crew, ExchangeFiles, write_crew
from sweep.study.files import RunFiles
from sweep.study.notes import ask_to_pause, ask_to_stop, asked_to_stop, forget_to_stop

#: Seconds: between two looks at what workers say; between two looks at notes and at the crew.
_LOOK, _ROUND = 0.05, 1.0
#: Deaths of a lone run's worker that are too many: machines are lost for reasons of their own.
_MOST_DEATHS = 3


class Staff(Protocol):
    """Who starts workers, where the driver does."""

    def look_after(self, *, wanted: int, present: int) -> str | None:
        """Start workers where some are missing; says how those are that it has started."""

    def send_home(self) -> None:
        """End all that were started. Safe to call twice."""


class Folder:
    """An `Executor` whose workers share a disk with the driver, and nothing else.

    A worker that falls silent is lost: what it had is put back, in halves where nobody knows whose
    fault it was, and goes on from its rungs. One that leaves in order gives its runs back as they
    are. Who comes back from the dead finds its pack gone.

    Args:
        exchange: Of the study.
        runs_dir: Holds a folder per run.
        logs_dir: Where workers write to, for messages.
        workers: That are expected; more are welcome.
        pack_size: Most runs of a pack.
        lost_after_s: Seconds of silence.
        staff: Starts workers; without one, they are started by hand.
    """

    def __init__(
        self,
        *,
        exchange: ExchangeFiles,
        runs_dir: Path,
        logs_dir: Path,
        workers: int = 1,
        pack_size: int = 1,
        lost_after_s: float = 60.0,
        grace_s: float = 10.0,
        threads: int | None = None,
        staff: Staff | None = None,
    ) -> None:
        self._exchange, self._runs_dir, self._logs_dir = exchange, runs_dir, logs_dir
        self._workers, self._pack_size, self._staff = workers, pack_size, staff
        self._session = Session(
            exchange, runs_dir, lost_after_s=lost_after_s, grace_s=grace_s, threads=threads
        )
        self._files = self._session.files
        self._desk = Desk(self._files, runs_dir, lost_after_s)
        self._crew: dict[str, Colleague] = {}
        self._gone: set[str] = set()
        self._deaths = Deaths(_MOST_DEATHS)
        self._known: deque[Event] = deque()
        self._paused: bool | None = None
        self._next_round = 0.0
        self._jobs: str | None = None

    @property
    def terms(self) -> Terms:
        return self._session.terms

    @property
    def pack_size(self) -> int:
        return self._pack_size

    @property
    def num_free(self) -> int:
        return max(self._workers, len(self._crew)) - self.num_open

    @property
    def num_open(self) -> int:
        at_work = sum(bool(one.runs) for one in self._crew.values())
        return len(self._desk) + at_work + bool(self._known)

    def submit(self, pack: Pack) -> None:
        known = {run.id for run in pack if run.id in self._session.inherited}
        for run_id in known:
            self._answer(self._session.inherited.pop(run_id))
        if missing := tuple(run for run in pack if run.id not in known):
            self._desk.put(missing)

    def stop(self, run_id: str, reason: str) -> None:
        for one in self._crew.values():
            if run_id in one.runs:
                ask_to_stop(self._files.runs(one.name) / run_id, reason)

    def pause(self, *, at_step: bool = False) -> None:
        self._paused = at_step
        self._desk.withdraw_all()
        for one in self._crew.values():
            self._ask_to_pause(one)

    def work(self, handle: Handle) -> None:
        """Look once at what workers say; wait a little where they say nothing."""
        happened = bool(self._known)
        while self._known:
            handle(self._known.popleft())
        if time.monotonic() >= self._next_round:
            self._next_round = time.monotonic() + _ROUND
            self._go_round()
        for one in list(self._crew.values()):
            happened |= self._listen_to(one, handle)
        if not happened:
            time.sleep(_LOOK)

    def close(self) -> None:
        if self._staff is not None:
            self._staff.send_home()
        self._session.close()
        self._crew.clear()
        self._known.clear()
        self._desk.forget()

    def _answer(self, end: Finished) -> None:
        """What is known of a run from before, as if it were trained now."""
        worker = end.outcome.worker or "a worker of an earlier driver"
        rungs = [Evaluated(end.run_id, evaluation) for evaluation in end.outcome.evaluations]
        self._known.extend([Started(end.run_id, worker), *rungs, end])
        RunFiles(self._runs_dir / end.run_id).remove_checkpoint()

    def _go_round(self) -> None:
        """What need not be known at once: who has come, notes that were left, lost packs."""
        for name in names_in(self._files.workers):
            worker = name.removesuffix(".jsonl")
            if worker not in self._gone and worker not in self._crew:
                pulse = Pulse(self.terms.lost_after_s)
                self._crew[worker] = Colleague(worker, self._files.messages(worker), pulse)
        for one in self._crew.values():
            for run_id in one.runs:
                if reason := asked_to_stop(self._runs_dir / run_id):
                    forget_to_stop(self._runs_dir / run_id)
                    self.stop(run_id, reason)
        if self._paused is None:
            self._desk.put_again_what_is_lost()
        if self._staff is not None and self._paused is None:
            wanted = min(self._workers, self.num_open)
            self._jobs = self._staff.look_after(wanted=wanted, present=len(self._crew))
        with suppress(OSError):
            members = tuple(one.member for one in self._crew.values() if one.hello is not None)
            write_crew(self._exchange.folder, Crew(members, len(self._desk), self._jobs))

    def _listen_to(self, one: Colleague, handle: Handle) -> bool:
        """Answer what a worker has said; whether it was anything."""
        lives = one.listen()
        happened = bool(one.unheard)
        while one.unheard and one.name in self._crew:
            try:
                self._hear(one, one.unheard[0], handle)
            except FileNotFoundError:
                # It is seen later than it was written: what a run leaves may be, too.
                lives, happened = lives and one.may_wait(self.terms.lost_after_s), False
                break
            one.unheard.popleft()
            one.waits_since = None
        if not lives and one.name in self._crew:
            cause = f"no sign of life for {self.terms.lost_after_s:g} s"
            self._part_with(one, Bye(cause, died=True), handle)
            return True
        return happened

    def _hear(self, one: Colleague, message: Message, handle: Handle) -> None:
        if isinstance(message, Hello):
            one.hello = message
        elif isinstance(message, Took):
            self._took(one, message.pack)
        elif isinstance(message, Told):
            run = one.runs.get(message.event.run_id)
            if run is not None:
                self._told(one, run, message, handle)
        elif isinstance(message, Bye):
            self._part_with(one, message, handle)

    def _took(self, one: Colleague, pack: str) -> None:
        runs = self._desk.given_to(one.name, pack)
        if runs is None:
            return
        one.take_up(pack, runs)
        for run in runs:
            folder = self._runs_dir / run.id
            folder.mkdir(parents=True, exist_ok=True)
            clear_leftovers(folder)
            forget_to_stop(folder)
        if self._paused is not None:
            self._ask_to_pause(one)

    def _told(self, one: Colleague, run: Run, message: Told, handle: Handle) -> None:
        event = message.event
        if isinstance(event, Evaluated):
            self._deaths.come_to(run.id, event.evaluation.step)
        if isinstance(event, Finished | Paused):
            source = self._files.runs(one.name) / run.id
            bring_home(source, self._runs_dir / run.id, message.left)
            if isinstance(event, Paused) and self._goes_on(run, event):
                # It leaves with its worker, and comes back when the worker says so.
                return
            one.put_down(run.id)
        if isinstance(event, Finished):
            RunFiles(self._runs_dir / run.id).remove_checkpoint()
        handle(event)

    def _goes_on(self, run: Run, event: Paused) -> bool:
        """Whether it is the worker alone that makes it wait."""
        is_due = run.until is not None and len(event.outcome.evaluations) >= run.until
        return self._paused is None and not is_due

    def _ask_to_pause(self, one: Colleague) -> None:
        if one.runs:
            ask_to_pause(self._files.runs(one.name), at_step=bool(self._paused))

    def _part_with(self, one: Colleague, bye: Bye, handle: Handle) -> None:
        """The worker is gone, or as good as gone: what it had is for others."""
        self._gone.add(one.name)
        del self._crew[one.name]
        if (limbo := self._desk.taken_unsaid(one.name)) is not None:
            one.take_up(*limbo)
        if one.pack is not None:
            self._files.claim(one.pack, one.name).unlink(missing_ok=True)
        given_up = self._files.given_up(one.name)
        with suppress(OSError):
            # Where it still lives, it finds out by that.
            one.file.unlink()
        with suppress(OSError):
            given_up.parent.mkdir(exist_ok=True)
            self._files.runs(one.name).rename(given_up)
            bring_all_home(given_up, self._runs_dir)
        if self._paused is None and one.runs:
            self._put_back(one, bye, handle)

    def _put_back(self, one: Colleague, bye: Bye, handle: Handle) -> None:
        runs, cause = tuple(one.runs.values()), bye.cause
        if bye.died:
            log = self._logs_dir / f"{one.name}.log"
            packs = self._deaths.put_back(runs, one.name, cause=cause, log=log, handle=handle)
        else:
            packs = [runs]
            for run in runs:
                handle(PutBack(run.id, one.name, cause, died=False))
        for pack in packs:
            self._desk.put(pack, first=True)
