"""What a driver and its workers tell each other: JSON that becomes typed values, or nothing."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from sweep.loop.trial import (
    Evaluated,
    Event,
    Finished,
    Glimpsed,
    Paused,
    Progress,
    Run,
    Started,
)

_adapter: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)


@dataclass(frozen=True)
class Terms:
    """What a driver lets its workers know.

    Args:
        session: Names this start of the driver, and its folder.
        lost_after_s: Seconds of silence after which either counts as lost.
        grace_s: Seconds between a signal to a worker and its end.
        version: Of the driver's program; another one may compute something else.
        threads: Of a worker; None leaves it to the worker.
    """

    session: str
    version: str
    lost_after_s: float
    grace_s: float
    threads: int | None = None

    @property
    def beat_s(self) -> float:
        """Seconds between two signs of life."""
        return min(5.0, self.lost_after_s / 5)


@dataclass(frozen=True)
class Assignment:
    """A pack, and which of its runs go on from a rung."""

    runs: tuple[Run, ...]
    with_rung: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hello:
    """A worker has come."""

    host: str
    job: str | None = None


@dataclass(frozen=True)
class Took:
    """It has a pack."""

    pack: str


@dataclass(frozen=True)
class Told:
    """Something happened to a run; a run that leaves names what it has left in its folder."""

    event: Event
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beat:
    """It lives."""


@dataclass(frozen=True)
class Bye:
    """It leaves, or what trained for it has died; what it had goes to others."""

    cause: str
    died: bool = False


Message = Hello | Took | Told | Beat | Bye

_MESSAGES: dict[str, type] = {kind.__name__: kind for kind in (Hello, Took, Beat, Bye)}
#: What a worker may say of a run; that one is put back is for the driver to say.
_EVENTS: dict[str, type] = {
    kind.__name__: kind for kind in (Started, Progress, Evaluated, Glimpsed, Paused, Finished)
}


def to_line(message: Message, number: int) -> str:
    """A line of a worker's file; numbers tell one that was written twice."""
    content = {"n": number, "is": type(message).__name__, **dataclasses.asdict(message)}
    if isinstance(message, Told):
        content["of"] = type(message.event).__name__
    return json.dumps(content) + "\n"


def from_line(line: str) -> tuple[int, Message] | None:
    """Number and message; None where the line is torn or no message at all."""
    try:
        content = json.loads(line)
        number, kind = int(content["n"]), content["is"]
        if kind == "Told":
            event = _adapter(_EVENTS[content["of"]]).validate_python(content["event"])
            return number, Told(event, tuple(map(str, content["left"])))
        return number, _adapter(_MESSAGES[kind]).validate_python(content)
    except (ValueError, KeyError, TypeError):
        return None


def to_text(value: Terms | Assignment) -> str:
    return json.dumps(dataclasses.asdict(value))


def terms_from(text: str) -> Terms:
    """Raises ValueError where the text says nothing of the kind."""
    terms: Terms = _adapter(Terms).validate_json(text)
    return terms


def assignment_from(text: str) -> Assignment:
    """The pack; ids of runs are computed anew, so that none can name another folder.

    Raises:
        ValueError: the text holds no pack.
    """
    # Not by pydantic's own JSON: it takes no `Infinity`.
    found: Assignment = _adapter(Assignment).validate_python(json.loads(text))
    return found
