"""An actor as the driver knows it, and what has become of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sweep.execute.folder.colleague import now
from sweep.execute.ray.parcels import Greeting
from sweep.loop.trial import Run
from sweep.study.exchange import CrewMember


@dataclass(frozen=True)
class Share:
    """What an actor takes of the cluster."""

    cpus: int = 1
    gpus: float = 0.0

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus} CPU{gpus}"


@dataclass
class Colleague:
    """An actor, what it is called with, and the runs that have not left it.

    Attributes:
        waits_for: Of Ray: its greeting, or the stream of what it says; None where it is idle.
    """

    actor: Any
    waits_for: Any
    greeting: Greeting | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    since: str = field(default_factory=now)

    @property
    def name(self) -> str:
        return self.greeting.name if self.greeting else "an actor"

    @property
    def is_idle(self) -> bool:
        return self.greeting is not None and not self.runs

    @property
    def member(self) -> CrewMember:
        """As `status` shows it, once it has come."""
        found = self.greeting or Greeting("an actor", "unknown", "", "")
        host = f"{found.host} (node {found.node[:8]})"
        return CrewMember(found.name, host, self.since, None, tuple(self.runs))


def in_words(error: BaseException) -> str:
    """What has become of an actor, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1][:200] if lines else ""
    if not re.search("Actor|Node", type(error).__name__):
        return f"{type(error).__name__}: {last}"
    # Where its first words failed, Ray tells by what.
    failed = [line[:200] for line in lines if re.match(r"\w+(Error|Exception): ", line)]
    return ": ".join(["its actor or its machine is gone", *failed[-1:]])
