"""A worker's place in one session: it takes packs, has them trained and says what happens."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from sweep.execute.folder.disk import names_in, size_of, take
from sweep.execute.folder.hands import Hands, HandsDied, Hire
from sweep.execute.folder.home import left_in
from sweep.execute.folder.messages import (
    Assignment,
    Bye,
    Hello,
    Terms,
    Told,
    Took,
    assignment_from,
)
from sweep.execute.folder.outbox import NobodyReads, Outbox
from sweep.execute.folder.pulse import Pulse
from sweep.loop.ports import Pack
from sweep.loop.trial import Finished, Paused
from sweep.study.exchange import SessionFiles
from sweep.study.files import RunFiles
from sweep.study.notes import ask_to_pause

#: Seconds: between two looks for a pack, more and more up to the most; for an event; for a rung
#: that can't be seen yet.
_LOOK, _MOST, _EVENTS, _RUNG = 0.05, 1.0, 0.2, 10.0


class Ended(Enum):
    """Why a worker has left its post."""

    #: The driver has closed the session.
    OVER = auto()
    #: A signal asked the worker to go.
    ASKED = auto()
    #: The driver is silent.
    ALONE = auto()
    #: Its pack was given to others, or what trained has died: there may be more for it.
    DROPPED = auto()


class Wish(Protocol):
    """What somebody wants of a worker."""

    def __call__(self) -> str | None:
        """Why it is to leave, in a word; None lets it stay."""


class Post:
    """One enlistment. Its name is nobody else's: who comes back from the dead has another.

    Args:
        files: Of the session.
        runs_dir: Of the study: rungs lie there.
        hire: What trains.
        leave: Asked again and again.
    """

    def __init__(
        self,
        files: SessionFiles,
        terms: Terms,
        *,
        name: str,
        runs_dir: Path,
        hire: Hire,
        threads: int,
        leave: Wish,
    ) -> None:
        self._files, self._terms = files, terms
        self._name, self._runs_dir = name, runs_dir
        self._hire, self._threads, self._leave = hire, threads, leave
        self._outbox = Outbox(files.messages(name), beat_s=terms.beat_s)
        self._driver = Pulse(terms.lost_after_s)
        self._hands: Hands | None = None
        self._pack: str | None = None
        self._open: set[str] = set()
        self._wait = _LOOK
        self._next_look = 0.0

    def serve(self, hello: Hello) -> Ended:
        """Until there is a reason to leave."""
        try:
            # It takes a while where much is to be imported; nobody waits for who has not come.
            runs_dir, threads = self._files.runs(self._name), self._terms.threads
            self._hands = self._hire(self._name, runs_dir, threads or self._threads)
            self._files.messages(self._name).touch()
            self._outbox.say(hello)
            while (ended := self._why_leave()) is None:
                self._go_on()
            return ended
        except HandsDied as death:
            self._say_last(Bye(str(death), died=True))
            return Ended.DROPPED
        except NobodyReads:
            is_over = size_of(self._files.driver) is None
            return Ended.OVER if is_over else self._dropped()
        finally:
            self._end_hands()

    def _why_leave(self) -> Ended | None:
        if cause := self._leave():
            return self._go(cause, Ended.ASKED)
        self._outbox.beat()
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + self._terms.beat_s
        mark = size_of(self._files.driver)
        if mark is None:
            return Ended.OVER
        if not self._driver.beats(mark):
            return self._go("the driver is silent", Ended.ALONE)
        if self._pack and not self._files.claim(self._pack, self._name).exists():
            return self._dropped()
        return None

    def _dropped(self) -> Ended:
        """Counted as lost: what it has is with others, and what it leaves is read by nobody."""
        self._end_hands()
        shutil.rmtree(self._files.runs(self._name), ignore_errors=True)
        return Ended.DROPPED

    def _go(self, cause: str, ended: Ended) -> Ended:
        """Leave in order: every run is saved where it is, if that takes not too long."""
        ends_at = time.monotonic() + self._terms.grace_s
        if self._open:
            ask_to_pause(self._files.runs(self._name), at_step=True)
        while self._open and time.monotonic() < ends_at:
            self._relay()
        self._end_hands()
        self._say_last(Bye(cause))
        return ended

    def _go_on(self) -> None:
        if self._open:
            self._relay()
        elif self._take_pack():
            self._wait = _LOOK
        else:
            time.sleep(self._wait)
            self._wait = min(_MOST, 1.5 * self._wait)

    def _take_pack(self) -> bool:
        """Claim a pack and begin; False where none waits."""
        for name in names_in(self._files.packs):
            pack = name.removesuffix(".json")
            claim = self._files.claim(pack, self._name)
            if take(self._files.packs / name, claim):
                self._say_taken(pack, claim)
                self._begin(claim)
                return True
        return False

    def _say_taken(self, pack: str, claim: Path) -> None:
        try:
            self._outbox.say(Took(pack))
        except NobodyReads:
            # The driver knows this worker no more: the pack is for others.
            take(claim, self._files.pack(pack))
            raise
        self._pack = pack

    def _begin(self, claim: Path) -> None:
        try:
            assignment = assignment_from(claim.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise HandsDied(f"its pack can't be read: {error}") from None
        self._open = {run.id for run in assignment.runs}
        self._fetch_rungs(assignment)
        assert self._hands is not None
        self._hands.train(assignment.runs)

    def _fetch_rungs(self, assignment: Assignment) -> None:
        """Of runs that go on; without its rung, a run starts over and comes to the same result."""
        ends_at = time.monotonic() + _RUNG
        for run in of_rungs(assignment):
            rung = RunFiles(self._runs_dir / run.id).checkpoint
            own = RunFiles(self._files.runs(self._name) / run.id).checkpoint
            own.parent.mkdir(parents=True, exist_ok=True)
            while not rung.is_file() and time.monotonic() < ends_at:
                self._outbox.beat()
                time.sleep(_EVENTS)
            _link(rung, own)

    def _relay(self) -> None:
        assert self._hands is not None
        for event in self._hands.events(_EVENTS):
            left: tuple[str, ...] = ()
            if isinstance(event, Finished | Paused):
                self._open.discard(event.run_id)
                folder = self._files.runs(self._name) / event.run_id
                left = left_in(folder, has_ended=isinstance(event, Finished))
            self._outbox.say(Told(event, left))
        self._outbox.beat()
        if not self._open and self._pack:
            self._files.claim(self._pack, self._name).unlink(missing_ok=True)
            self._pack = None

    def _say_last(self, message: Bye) -> None:
        with suppress(NobodyReads):
            self._outbox.say(message)

    def _end_hands(self) -> None:
        if self._hands is not None:
            self._hands.end()
            self._hands = None


def of_rungs(assignment: Assignment) -> Pack:
    """The runs that go on from one."""
    return tuple(run for run in assignment.runs if run.id in assignment.with_rung)


def _link(source: Path, target: Path) -> None:
    """The same file under another name: both are replaced in one move, never written into."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        return
    except OSError:
        shutil.copyfile(source, target)
