"""What runs as an actor of Ray: trains the packs that it is called with."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from sweep import __version__
from sweep.core.files import replacing_file
from sweep.execute.folder.hands import Hands, HandsDied, Hire
from sweep.execute.folder.home import left_in
from sweep.execute.folder.worker import host_name, worker_name
from sweep.execute.ray.parcels import Died, Greeting, Parcel, Printed, Said, mark_of, packed
from sweep.loop.ports import Pack
from sweep.loop.trial import Event, Finished, Paused
from sweep.study.files import RunFiles, StudyFiles
from sweep.study.notes import ask_to_pause, ask_to_stop

#: Seconds between two looks at what has happened.
_LOOK = 0.2


class RayWorker:
    """Lives as long as the sweep: what trains for it, a process, keeps base model and pairs.

    It works in a folder of its own machine. Rungs go to the driver as soon as they are there.

    Args:
        hire_in: Makes what trains, for a folder laid out as a study.
        threads: Of what trains.
    """

    def __init__(self, hire_in: Callable[[StudyFiles], Hire], *, threads: int) -> None:
        self._place = StudyFiles(Path(tempfile.mkdtemp(prefix="sweep-ray-")))
        self._name = worker_name(os.environ)
        self._hire, self._threads = hire_in(self._place), threads
        self._hands: Hands | None = None
        #: Rungs that the driver has, by what the disk says of them.
        self._sent: dict[str, tuple[int, int]] = {}
        self._printed = 0

    def hello(self) -> Greeting:
        """Once what trains has been started."""
        import ray

        if not ray.get_gpu_ids():
            # Ray leaves those of the machine to be seen.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._have_hands()
        node = ray.get_runtime_context().get_node_id()
        return Greeting(self._name, host_name(os.environ), node, __version__)

    def train(self, pack: Pack, rungs: Mapping[str, bytes]) -> Iterator[tuple[Said, ...]]:
        """What happens until every run has left, or what trains has died.

        Args:
            rungs: Of the runs that go on from one.
        """
        open_runs = {run.id for run in pack}
        said: list[Said] = []
        self._lay_out(rungs)
        try:
            self._have_hands().train(pack)
            while open_runs:
                said = self._new_rungs(open_runs)
                said += self._news(open_runs)
                if not open_runs:
                    said.append(self._new_print())
                if said:
                    yield tuple(said)
                    said = []
        except HandsDied as death:
            # What was about to be said is said as well.
            said += [*self._new_rungs(open_runs), self._new_print(), Died(str(death))]
            self._clear_up()
            yield tuple(said)

    def stop(self, run_id: str, reason: str) -> None:
        """Beside a training: a run ends at its next step."""
        with suppress(OSError):
            ask_to_stop(self._place.run(run_id).folder, reason)

    def pause(self, *, at_step: bool) -> None:
        """Beside a training: runs leave at their next rung, or step."""
        ask_to_pause(self._place.runs, at_step=at_step)

    def leave(self) -> None:
        """In the middle of a training, too; nothing stays behind."""
        self._clear_up()
        shutil.rmtree(self._place.folder, ignore_errors=True)

    def _have_hands(self) -> Hands:
        if self._hands is None:
            self._hands = self._hire(self._name, self._place.runs, self._threads)
        return self._hands

    def _lay_out(self, rungs: Mapping[str, bytes]) -> None:
        for run_id, content in rungs.items():
            place = self._place.run(run_id).checkpoint
            with replacing_file(place) as temporary:
                temporary.write_bytes(content)
            self._sent[run_id] = mark_of(place)

    def _news(self, open_runs: set[str]) -> list[Said]:
        return [self._told(event, open_runs) for event in self._have_hands().events(_LOOK)]

    def _told(self, event: Event, open_runs: set[str]) -> Parcel:
        if not isinstance(event, Finished | Paused):
            return Parcel(event.run_id, event)
        folder = self._place.run(event.run_id).folder
        files = packed(folder, left_in(folder, has_ended=isinstance(event, Finished)))
        open_runs.discard(event.run_id)
        self._sent.pop(event.run_id, None)
        shutil.rmtree(folder, ignore_errors=True)
        return Parcel(event.run_id, event, files)

    def _new_rungs(self, open_runs: set[str]) -> list[Said]:
        """What the loss of this machine would lose otherwise."""
        found: list[Said] = []
        for run_id in open_runs:
            run = self._place.run(run_id)
            with suppress(OSError):
                mark = mark_of(run.checkpoint)
                if mark != self._sent.get(run_id):
                    self._sent[run_id] = mark
                    found.append(Parcel(run_id, None, packed(run.folder, left_in(run.folder))))
        return found

    def _new_print(self) -> Printed:
        with suppress(OSError), (self._place.logs / f"{self._name}.log").open("rb") as log:
            log.seek(self._printed)
            text = log.read()
            self._printed += len(text)
            return Printed(text.decode("utf-8", errors="replace"))
        return Printed("")

    def _clear_up(self) -> None:
        if self._hands is not None:
            self._hands.end()
            self._hands = None
        self._sent.clear()
        shutil.rmtree(self._place.runs, ignore_errors=True)


def rungs_of(pack: Pack, runs_dir: Path) -> dict[str, bytes]:
    """The rungs that the driver has of these runs."""
    found = {}
    for run in pack:
        with suppress(OSError):
            found[run.id] = RunFiles(runs_dir / run.id).checkpoint.read_bytes()
    return found
