"""The folder through which a driver and workers of other machines talk, and who works there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sweep.core.files import write_text
from sweep.study.reading import read_json, to_json

#: Names that others choose: none of them can leave its folder.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.\-]{0,199}")


def is_plain(name: str) -> bool:
    """Whether a name is one of a file in this folder, and of no other, on every system."""
    return _PLAIN.fullmatch(name) is not None and not name.endswith(".")


@dataclass(frozen=True)
class SessionFiles:
    """One start of a driver: whatever belongs to an earlier one lies elsewhere."""

    folder: Path

    @property
    def driver(self) -> Path:
        """Grows as long as the driver lives."""
        return self.folder / "driver"

    @property
    def packs(self) -> Path:
        """Packs that wait; whoever renames one has it."""
        return self.folder / "packs"

    @property
    def workers(self) -> Path:
        """What each worker says, a line a message."""
        return self.folder / "workers"

    def pack(self, pack: str) -> Path:
        return self.packs / f"{pack}.json"

    def claim(self, pack: str, worker: str) -> Path:
        """The pack, once the worker has it; where it is gone, the pack was given away."""
        return self.folder / "claims" / f"{pack}.{worker}.json"

    def messages(self, worker: str) -> Path:
        return self.workers / f"{worker}.jsonl"

    def runs(self, worker: str) -> Path:
        """A folder for each run that the worker trains, until the driver brings it home."""
        return self.folder / "work" / worker

    def given_up(self, worker: str) -> Path:
        """The same once the worker has lost it: nobody writes there."""
        return self.folder / "given-up" / worker


@dataclass(frozen=True)
class ExchangeFiles:
    """All starts of a study's driver."""

    folder: Path

    @property
    def session(self) -> Path:
        """Which start is under way, and its terms."""
        return self.folder / "session.json"

    @property
    def crew(self) -> Path:
        """Who works, as the driver sees it."""
        return self.folder / "crew.json"

    def of(self, session: str) -> SessionFiles:
        return SessionFiles(self.folder / session)

    def over(self, session: str) -> SessionFiles:
        """The same once it is over."""
        return SessionFiles(self.folder / f".{session}")


@dataclass(frozen=True)
class CrewMember:
    """A worker, and what it is at.

    Args:
        since: By the clock of the driver, as ISO text.
        job: Of a batch system.
    """

    name: str
    host: str
    since: str
    job: str | None = None
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Crew:
    """Who works on a study now.

    Args:
        waiting: Packs that no worker has taken.
        jobs: What the batch system says of workers that have not come, in words.
    """

    members: tuple[CrewMember, ...] = ()
    waiting: int = 0
    jobs: str | None = None


def write_crew(exchange: Path, crew: Crew) -> None:
    write_text(ExchangeFiles(exchange).crew, to_json(crew))


def read_crew(exchange: Path) -> Crew | None:
    """Who works, or None where the driver has no such workers."""
    return read_json(ExchangeFiles(exchange).crew, Crew, otherwise="workers are not shown")
