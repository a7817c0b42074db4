"""A worker that goes from one session of a study to the next, wherever it runs."""

from __future__ import annotations

import os
import platform
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any
from uuid import uuid4

from sweep import __version__
from sweep.core.errors import StudyError
from sweep.execute.children import ASKS_TO_STOP
from sweep.execute.folder.disk import size_of
from sweep.execute.folder.hands import Hire
from sweep.execute.folder.messages import Hello, Terms, terms_from
from sweep.execute.folder.post import Ended, Post
from sweep.execute.folder.pulse import Pulse
from sweep.study.exchange import ExchangeFiles, is_plain
from sweep.study.files import StudyFiles

#: Seconds between two looks for a driver.
_LOOK = 0.5


class Leaving:
    """Whether a signal has asked this process to go; a context manager where it may be asked."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> str | None:
        return None if self.signal is None else signal.Signals(self.signal).name

    def hear(self, number: int, frame: FrameType | None = None) -> None:
        self.signal = number

    @contextmanager
    def heard(self) -> Iterator[Leaving]:
        """Signals that ask to stop are noted; what they were answered with before comes back."""
        before: dict[int, Any] = {n: signal.signal(n, self.hear) for n in ASKS_TO_STOP}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Worker:
    """Works for whoever drives the study.

    Args:
        study: Its folder, and those that lie in it with runs of another kind.
        hire: Makes what trains, for the folder of that study.
        wait_s: How long to wait for a driver, at first and where it has fallen silent.
        stay: Whether to wait as long once a driver has closed its session.
        threads: Of what trains, where the driver leaves it open.
        say: Shows a line.
        leave: Why to go, in a word; None stays.
    """

    def __init__(
        self,
        study: Sequence[StudyFiles],
        hire: Callable[[StudyFiles], Hire],
        *,
        wait_s: float,
        say: Callable[[str], None],
        leave: Callable[[], str | None],
        stay: bool = False,
        threads: int = 1,
    ) -> None:
        self._places = study
        self._hire = hire
        self._wait_s, self._stay, self._threads = wait_s, stay, threads
        self._say, self._leave = say, leave
        self._pulses: dict[str, Pulse] = {}

    def run(self) -> Ended | None:
        """Work until there is nothing more to do; None where no driver came.

        Raises:
            StudyError: the driver is of another version.
        """
        ended = None
        while not self._leave():
            is_over = ended is Ended.OVER and not self._stay
            found = self._driven(0.0 if is_over else self._wait_s)
            if found is None:
                return ended
            ended = self._serve(*found)
            if ended is Ended.ASKED:
                break
        return ended

    def _driven(self, seconds: float) -> tuple[StudyFiles, Terms] | None:
        """A place with a driver that lives, as soon as there is one."""
        ends_at = time.monotonic() + seconds
        while True:
            for place in self._places:
                terms = open_session(ExchangeFiles(place.exchange))
                if terms is not None and self._lives(place, terms):
                    _refuse_another_program(terms)
                    return place, terms
            if self._leave() or time.monotonic() >= ends_at:
                return None
            time.sleep(_LOOK)

    def _lives(self, place: StudyFiles, terms: Terms) -> bool:
        """Whether there is a driver. One that has not beaten since it was left is dead."""
        mark = size_of(ExchangeFiles(place.exchange).of(terms.session).driver)
        if mark is None:
            return False
        return self._pulses.setdefault(terms.session, Pulse(terms.lost_after_s)).beats(mark)

    def _serve(self, place: StudyFiles, terms: Terms) -> Ended:
        name = worker_name(os.environ)
        files = ExchangeFiles(place.exchange).of(terms.session)
        self._say(f"{name} works for {place.folder}")
        post = Post(
            files,
            terms,
            name=name,
            runs_dir=place.runs,
            hire=self._hire(place),
            threads=self._threads,
            leave=self._leave,
        )
        ended = post.serve(Hello(host_name(os.environ), job_id(os.environ)))
        self._say(f"{name} {_IN_WORDS[ended]}")
        return ended


_IN_WORDS = {
    Ended.OVER: "has nothing more to do",
    Ended.ASKED: "was asked to leave; its runs go on elsewhere from where they are",
    Ended.ALONE: "hears nothing of the driver, and waits",
    Ended.DROPPED: "has lost its pack, which others take up; it goes on under a new name",
}


def open_session(exchange: ExchangeFiles) -> Terms | None:
    """The terms of the session that is open, if one is."""
    try:
        terms = terms_from(exchange.session.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return terms if is_plain(terms.session) else None


def _refuse_another_program(terms: Terms) -> None:
    if terms.version != __version__:
        raise StudyError(
            "A worker must be of the same version as the driver.",
            value=f"this is sweep {__version__}, the driver is {terms.version}",
            way_out="start it in the environment of the driver",
        )


def host_name(variables: Mapping[str, str]) -> str:
    """Of the machine, as the batch system or the machine itself names it."""
    return variables.get("SLURMD_NODENAME") or platform.node() or "unknown"


def job_id(variables: Mapping[str, str]) -> str | None:
    """Of the batch job that this process belongs to."""
    if array := variables.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{variables.get('SLURM_ARRAY_TASK_ID', '')}"
    names = ("SLURM_JOB_ID", "PBS_JOBID", "JOB_ID", "LSB_JOBID")
    return next((variables[name] for name in names if variables.get(name)), None)


def worker_name(variables: Mapping[str, str]) -> str:
    """Nobody else's, and plain: it names files."""
    host = re.sub(r"[^0-9A-Za-z]+", "-", host_name(variables).partition(".")[0]).strip("-")
    return f"{host[:40] or 'worker'}-{os.getpid()}-{uuid4().hex[:6]}"


def device_of(variables: Mapping[str, str]) -> str:
    """One GPU for a worker: the first that it may see."""
    visible = variables.get("CUDA_VISIBLE_DEVICES")
    return "0" if visible is None else visible.split(",")[0]
