"""What wandb holds of a study, and what it has yet to get: a small file beside the records."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from uuid import uuid4

from sweep.core.files import write_text
from sweep.core.fingerprint import fingerprint
from sweep.loop.trial import Outcome
from sweep.study.files import StudyFiles
from sweep.study.reading import read_json, to_json

#: Stands for a run's id, for the study's own wandb run.
OF_THE_STUDY = "study"


@dataclass(frozen=True)
class Held:
    """One training, or the study itself, that wandb holds in full."""

    #: Id of the run, or `OF_THE_STUDY`.
    of: str
    #: Which attempt of it: a run that failed is trained again, and a study grows.
    attempt: str
    wandb_id: str
    #: Of wandb's files, below `wandb/`.
    folder: str


@dataclass(frozen=True)
class _Kept:
    study_id: str
    held: list[Held] = field(default_factory=list)
    #: Run id to the id that a live run has at wandb, so that it is written again under that one.
    live: dict[str, str] = field(default_factory=dict)


class Ledger:
    """Reads and writes the file. Without one, nothing is held.

    Attributes:
        is_new: Whether an older program may have written what is there.
    """

    def __init__(self, files: StudyFiles) -> None:
        self._path = files.wandb_ledger
        kept = read_json(self._path, _Kept, otherwise="all runs are written to wandb again")
        self.is_new = kept is None
        self._kept = kept or _Kept(uuid4().hex[:12])

    @property
    def held(self) -> list[Held]:
        """In the order in which they were written."""
        return list(self._kept.held)

    def holds(self, of: str, attempt: str) -> bool:
        return any((held.of, held.attempt) == (of, attempt) for held in self._kept.held)

    def wandb_id(self, of: str, attempt: str) -> str:
        """Of what is to be written: the same each time, however often it is begun."""
        if of == OF_THE_STUDY:
            return self._kept.study_id
        return self._kept.live.get(of) or fingerprint([of, attempt])

    def name_study(self, wandb_id: str) -> None:
        """The study has an id at wandb, from before there was a ledger."""
        self._kept = replace(self._kept, study_id=wandb_id)

    def add(self, held: Held) -> None:
        """The study itself is held once; a run once for each attempt."""
        if held.of == OF_THE_STUDY:
            self._kept.held[:] = [one for one in self._kept.held if one.of != OF_THE_STUDY]
        self._kept.live.pop(held.of, None)
        self._kept.held.append(held)
        self._write()

    def goes_live(self, run_id: str, wandb_id: str) -> None:
        """A run is logged while it trains."""
        self._kept.live[run_id] = wandb_id
        self._write()

    def _write(self) -> None:
        write_text(self._path, to_json(self._kept))


def attempt_of(outcome: Outcome) -> str:
    """Tells one training of a run from another: the same from the event and from its record."""
    return fingerprint(json.loads(to_json(outcome)))


def attempt_of_study(attempts: dict[str, str]) -> str:
    """Of a study with these runs, each with its attempt."""
    return fingerprint(attempts)
