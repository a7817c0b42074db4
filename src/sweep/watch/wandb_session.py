"""Runs that are logged to wandb's server while they train, and what becomes of them without it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sweep.loop.trial import Evaluation, Outcome, Run, RunState
from sweep.study.wandb_ledger import attempt_of
from sweep.watch.tracked_values import config_of, summary_of
from sweep.watch.tracking import brief
from sweep.watch.wandb_setup import close_run, open_run, start_call
from sweep.watch.wandb_writer import Writer, log_curve

if TYPE_CHECKING:
    import wandb

#: wandb bounds its own calls; ours come into play when that fails.
GRACE_SECONDS = 3.0


@dataclass
class Tracked:
    """A wandb run that is under way."""

    handle: wandb.Run
    wandb_id: str
    #: The run waits at a rung; it is no second attempt when it goes on.
    paused: bool = False
    #: Last step that was logged: a run that goes on reports its evaluations again.
    step: int = -1

    @property
    def goes_on(self) -> bool:
        """Whether a run that starts once more can be logged here: there is no half history."""
        return self.paused or self.step < 0


@dataclass
class Session:
    """All live runs, in one thread. Nothing is raised: a server that does not answer is lost.

    A run gets a new wandb id at each attempt that follows one with a history: a run that was
    killed and is trained again would meet its own half history under a fixed one. `run_id` in the
    config joins the attempts.

    Args:
        writer: Told of what the server has got; the rest is its task.
        on_url: Told run id and address of a run that is online.
        say: Shows the user a line.
    """

    writer: Writer
    on_url: Callable[[str, str], None]
    say: Callable[[str], None]
    is_lost: bool = False
    live: dict[str, Tracked] = field(default_factory=dict)
    #: Runs that are sending their last data, and whom to tell when they have. All at once: when
    #: the server is gone, they wait for it together.
    ending: list[tuple[Future[None], Callable[[], None]]] = field(default_factory=list)

    def begin(self, run: Run) -> None:
        """A worker took the run up, perhaps for the second time.

        That is no failure of the run: its worker died, or its pack did not fit into memory, or
        another run failed the pack. What has logged nothing yet goes on in the same wandb run.
        """
        if self.is_lost:
            return
        self.settle()
        before = self.live.get(run.id)
        if before is not None and before.goes_on:
            before.paused = False
            return
        if before is not None:
            self._finish(run.id, {"state": "queued", "reason": "began again"}, 0)
        tracked = self._awaited(start_call(partial(self._open, run)))
        if tracked is None:
            return
        self.live[run.id] = tracked
        self.writer.ledger.goes_live(run.id, tracked.wandb_id)
        if tracked.handle.url:
            self.on_url(run.id, tracked.handle.url)

    def log(self, run: Run, evaluation: Evaluation) -> None:
        tracked = self.live.get(run.id)
        if tracked is None or evaluation.step <= tracked.step:
            return
        tracked.step, metric = evaluation.step, run.recipe.task.measure
        self._awaited(start_call(partial(log_curve, tracked.handle, [evaluation], metric)))

    def pause(self, run: Run) -> None:
        if run.id in self.live:
            self.live[run.id].paused = True

    def end(self, run: Run, outcome: Outcome) -> None:
        """The writer hears of it once the server has it all."""
        if self.is_lost:
            return
        if run.id not in self.live:  # It failed before a worker could take it up.
            self.begin(run)
        if run.id not in self.live:
            return
        tracked = self.live[run.id]
        folder = Path(tracked.handle.dir).parent.name
        held = partial(self.writer.hold, run.id, attempt_of(outcome), tracked.wandb_id, folder)
        summary = summary_of(outcome, run.recipe.task.measure)
        self._finish(run.id, summary, int(outcome.state is RunState.FAILED), held)

    def interrupt(self) -> None:
        """What is still under way is trained on later."""
        for run_id in list(self.live):
            self._finish(run_id, {"state": "queued", "reason": "interrupted"}, 1)

    def settle(self, *, wait: bool = False) -> None:
        """Take note of the runs that have ended; with `wait`, of all that are ending."""
        ended = [pair for pair in self.ending if wait or pair[0].done()]
        self.ending = [pair for pair in self.ending if pair not in ended]
        for done, tell in ended:
            self._awaited(done)
            if not self.is_lost:
                tell()

    def lose(self, error: BaseException) -> None:
        """The server is not asked again in this start."""
        self.live.clear()
        self.ending.clear()
        if not self.is_lost:
            self.is_lost = True
            self.say(
                f"wandb's server is lost ({brief(error)}); runs are written to disk, to be sent "
                "later."
            )

    def _open(self, run: Run) -> Tracked:
        writer, wandb_id = self.writer, uuid4().hex[:12]
        handle = open_run(
            writer.folder.resolve(),
            writer.target,
            study=writer.study,
            mode="online",
            wandb_id=wandb_id,
            timeout_s=writer.timeout_s,
            name=run.name,
            job_type="train",
            config=config_of(run, writer.study, writer.keys),
        )
        return Tracked(handle, wandb_id)

    def _finish(
        self,
        run_id: str,
        summary: dict[str, Any],
        exit_code: int,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        call = partial(close_run, self.live.pop(run_id).handle, summary, exit_code)
        self.ending.append((start_call(call), tell))

    def _awaited(self, done: Future[Any]) -> Any:
        """What a call gives; None where the server is lost, now or before."""
        if self.is_lost:
            return None
        try:
            return done.result(self.writer.timeout_s + GRACE_SECONDS)
        except Exception as error:
            self.lose(error)
            return None
