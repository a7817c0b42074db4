"""Workers that train in threads of the test: what happens to a worker is then for a test to say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sweep.execute.boundary import Boundary
from sweep.execute.folder.hands import Hands, Hire
from sweep.loop.ports import Handle, Pack, TrainFn
from sweep.loop.trial import Event, Finished, Outcome, Paused, Progress, RunState
from sweep.study.files import RunFiles, StudyFiles
from sweep.study.notes import asked_to_pause
from trainings import scored


class Inline:
    """`Hands` of the worker's own thread: while it trains, the worker says nothing."""

    def __init__(self, train: TrainFn, name: str, runs_dir: Path) -> None:
        self._boundary = Boundary(train, runs_dir=runs_dir, worker=name)
        self._pack: Pack | None = None

    def train(self, pack: Pack) -> None:
        self._pack = pack

    def events(self, seconds: float) -> list[Event]:
        found: list[Event] = []
        if self._pack is None:
            time.sleep(min(seconds, 0.01))
        else:
            self._boundary.attempt(self._pack, found.append)
            self._pack = None
        return found

    def end(self) -> None:
        self._pack = None


class InThread(Inline):
    """The same beside the worker, which speaks meanwhile."""

    def __init__(self, train: TrainFn, name: str, runs_dir: Path) -> None:
        super().__init__(train, name, runs_dir)
        self._found: list[Event] = []

    def train(self, pack: Pack) -> None:
        threading.Thread(target=self._boundary.attempt, args=(pack, self._found.append)).start()

    def events(self, seconds: float) -> list[Event]:
        time.sleep(min(seconds, 0.01))
        found = self._found[:]
        del self._found[: len(found)]
        return found


def threads_for(train: TrainFn, kind: type[Inline] = Inline) -> Callable[[StudyFiles], Hire]:
    def hire(name: str, runs_dir: Path, threads: int) -> Hands:
        return kind(train, name, runs_dir)

    return lambda place: hire


@dataclass
class Trainings:
    """Trains by rank and counts; runs leave an adapter that names who has trained them.

    Attributes:
        freeze: Runs whose first training waits until it is let go.
    """

    freeze: set[str] = field(default_factory=set)
    let_go: threading.Event = field(default_factory=threading.Event)
    trained: list[str] = field(default_factory=list)

    def __call__(self, pack: Pack, runs_dir: Path, handle: Handle) -> None:
        for run in pack:
            text = "fresh"
            if run.id in self.freeze:
                self.freeze.discard(run.id)
                assert self.let_go.wait(60)
                text = "stale"
            self.trained.append(run.id)
            folder = RunFiles(runs_dir / run.id).adapter
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "weights").write_text(text)
            handle(scored(run))


def train_until_it_is_to_pause(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """Waits for a note, and leaves a rung; from a rung it goes on to the end."""
    for run in pack:
        rung = RunFiles(runs_dir / run.id).checkpoint
        if rung.is_file():
            handle(Finished(run.id, Outcome(RunState.COMPLETE, score=float(rung.read_text()))))
            rung.unlink()
            continue
        handle(Progress(run.id, 1, 2))
        while not asked_to_pause(runs_dir):
            time.sleep(0.01)
        rung.write_text("0.5")
        handle(Paused(run.id, Outcome(RunState.PRUNED)))
