"""Packs that wait for a worker, as files of a session."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

from sweep.core.files import write_text
from sweep.execute.folder.disk import names_in
from sweep.execute.folder.messages import Assignment, to_text
from sweep.loop.ports import Pack
from sweep.study.exchange import SessionFiles
from sweep.study.files import RunFiles


class Desk:
    """Gives each pack a name of its own, and knows which are not taken yet.

    Args:
        runs_dir: Holds a folder per run, with the rung where it is to go on.
        lost_after_s: After which a pack is given out anew that somebody has taken and not said so.
    """

    def __init__(self, files: SessionFiles, runs_dir: Path, lost_after_s: float) -> None:
        self._files, self._runs_dir, self._lost_after_s = files, runs_dir, lost_after_s
        self._waiting: dict[str, Pack] = {}
        self._missing_since: dict[str, float] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, pack: Pack, *, first: bool = False) -> None:
        """Let a pack wait; workers take them by their names, those that come `first` before."""
        name = f"{'a' if first else 'b'}{next(self._numbers):07d}"
        rungs = tuple(r.id for r in pack if RunFiles(self._runs_dir / r.id).checkpoint.is_file())
        self._waiting[name] = pack
        write_text(self._files.pack(name), to_text(Assignment(pack, rungs)))

    def given_to(self, worker: str, name: str) -> Pack | None:
        """The pack that a worker says it has; None where it is not its any more, and is told so."""
        self._missing_since.pop(name, None)
        pack = self._waiting.pop(name, None)
        if pack is None:
            self._files.claim(name, worker).unlink(missing_ok=True)
        return pack

    def taken_unsaid(self, worker: str) -> tuple[str, Pack] | None:
        """A pack that a worker has taken without a word, before it was gone."""
        for name in list(self._waiting):
            if self._files.claim(name, worker).exists():
                return name, self._waiting.pop(name)
        return None

    def withdraw_all(self) -> None:
        """Nobody takes them up any more, except who has done so in this moment."""
        for name in list(self._waiting):
            try:
                self._files.pack(name).unlink()
            except OSError:
                continue
            del self._waiting[name]

    def put_again_what_is_lost(self) -> None:
        """A pack that is not there, and that nobody says to have, has been lost by somebody."""
        there = {name.removesuffix(".json") for name in names_in(self._files.packs)}
        now = time.monotonic()
        for name in self._waiting:
            if name in there:
                self._missing_since.pop(name, None)
            else:
                self._missing_since.setdefault(name, now)
        for name, since in list(self._missing_since.items()):
            if now - since > 2 * self._lost_after_s and not self._files.pack(name).exists():
                del self._missing_since[name]
                self.put(self._waiting.pop(name), first=True)

    def forget(self) -> None:
        self._waiting.clear()
