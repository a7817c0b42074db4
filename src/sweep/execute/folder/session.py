"""One start of a driver, as a folder: opened for workers, and closed behind it."""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from sweep import __version__
from sweep.core.files import write_text
from sweep.execute.folder.disk import append, names_in, new_lines
from sweep.execute.folder.home import bring_all_home
from sweep.execute.folder.messages import Terms, Told, from_line, to_text
from sweep.loop.trial import Finished, RunState
from sweep.study.exchange import ExchangeFiles, SessionFiles


class Session:
    """Opens a session; everything that an earlier driver has left is brought home.

    Attributes:
        inherited: What runs came to after their driver was gone.
    """

    def __init__(
        self,
        exchange: ExchangeFiles,
        runs_dir: Path,
        *,
        lost_after_s: float,
        grace_s: float,
        threads: int | None,
    ) -> None:
        self._exchange, self._runs_dir = exchange, runs_dir
        self.terms = Terms(
            f"session-{uuid4().hex[:12]}", __version__, lost_after_s, grace_s, threads
        )
        self.files = exchange.of(self.terms.session)
        for folder in (self.files.packs, self.files.claim("0", "0").parent, self.files.workers):
            folder.mkdir(parents=True)
        self.files.driver.touch()
        # Before the earlier one is closed: its workers come over.
        write_text(exchange.session, to_text(self.terms))
        self.inherited = _inherit(exchange, runs_dir, but=self.terms.session)
        self._is_over = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="beat", daemon=True)
        self._beats.start()

    def close(self) -> None:
        """Workers find the folder gone, and leave."""
        if self._is_over.is_set():
            return
        self._is_over.set()
        self._beats.join()
        with suppress(OSError):
            self._exchange.session.unlink()
            self._exchange.crew.unlink(missing_ok=True)
        _set_aside(self._exchange, self.terms.session, self._runs_dir)

    def _beat(self) -> None:
        """While the loop is at work on something else, too."""
        while not self._is_over.wait(self.terms.beat_s):
            with suppress(OSError):
                append(self.files.driver, "\n")


def _inherit(exchange: ExchangeFiles, runs_dir: Path, *, but: str) -> dict[str, Finished]:
    """Bring home what is left of drivers that were killed; returns the ends nobody has heard of."""
    found: dict[str, Finished] = {}
    for name in names_in(exchange.folder):
        if name != but and exchange.of(name).folder.is_dir():
            found |= _set_aside(exchange, name, runs_dir)
    for hidden in exchange.folder.glob(".session-*"):
        shutil.rmtree(hidden, ignore_errors=True)
    return found


def _set_aside(exchange: ExchangeFiles, session: str, runs_dir: Path) -> dict[str, Finished]:
    """Nobody writes there any more once it has another name; then what it holds is brought home."""
    files = exchange.over(session)
    try:
        exchange.of(session).folder.rename(files.folder)
    except OSError:
        return {}
    found: dict[str, Finished] = {}
    for worker in names_in(files.runs("0").parent):
        work = files.runs(worker)
        ends = _ends_told(files, worker)
        # What the driver has heard, it has brought home.
        found |= {i: end for i, end in ends.items() if (work / i).is_dir()}
        bring_all_home(work, runs_dir)
    shutil.rmtree(files.folder, ignore_errors=True)
    return found


def _ends_told(files: SessionFiles, worker: str) -> dict[str, Finished]:
    """Runs that have come to their end; what else ends one may be of that driver's time."""
    lines, _ = new_lines(files.messages(worker), 0)
    said = [message for line in lines if (message := from_line(line))]
    events = [message.event for _, message in said if isinstance(message, Told)]
    ends = {event.run_id: event for event in events if isinstance(event, Finished)}
    return {i: end for i, end in ends.items() if end.outcome.state is RunState.COMPLETE}
