"""All calls to wandb, and what becomes of them when its server is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sweep.loop.trial import Evaluation, Outcome, Run, RunState
from sweep.watch.wandb_setup import (
    FLUSH_SECONDS,
    UNSENT,
    LiveMode,
    brief,
    start_call,
    stop_wandb,
    wandb_settings,
    write_sync_script,
)
from sweep.watch.wandb_values import StudyLog, flat_config

if TYPE_CHECKING:
    import wandb

#: wandb bounds its own calls; ours come into play when that fails.
GRACE_SECONDS = 3.0
_SUMMARY = (
    *("reason", "pearson", "pearson_last", "best_step", "spearman"),
    *("lora_params", "train_seconds", "peak_memory_mb"),
)


@dataclass
class Tracked:
    """A wandb run that is under way."""

    handle: wandb.Run
    mode: LiveMode
    #: wandb no longer takes its data.
    lost: bool = False
    #: The run waits at a rung; it is no second attempt when it goes on.
    paused: bool = False
    #: Last step that was logged: a run that goes on reports its evaluations again.
    step: int = -1

    @property
    def goes_on(self) -> bool:
        """Whether a run that starts once more can be logged here: there is no half history."""
        return self.paused or (self.step < 0 and not self.lost)

    def give_up(self) -> None:
        self.lost = True
        if self.mode == "online":
            (Path(self.handle.dir).parent / UNSENT).touch()


@dataclass
class Session:
    """All calls to wandb, made in one thread. An error that it raises means: give wandb up."""

    folder: Path
    mode: LiveMode
    project: str
    entity: str | None
    timeout_s: float
    keys: tuple[str, ...]
    on_url: Callable[[str, str], None]
    say: Callable[[str], None]
    study: str = ""
    live: dict[str, Tracked] = field(default_factory=dict)
    #: Online runs that are sending their last data. All at once: when the server is gone, they
    #: wait for it together.
    ending: list[tuple[Tracked, Future[None]]] = field(default_factory=list)

    def begin(self, run: Run) -> None:
        """A worker took the run up, perhaps for the second time.

        That is no failure of the run: its worker died, or its pack did not fit into memory, or
        another run failed the pack. What has logged nothing yet goes on in the same wandb run.
        """
        before = self.live.get(run.id)
        if before is not None and before.goes_on:
            before.paused = False
            return
        if before is not None:
            self._finish(run.id, {"state": "queued", "reason": "began again"}, 0)
        config = {"study": self.study, **flat_config(run, self.keys)}
        tracked = self._open(name=run.name, job_type="train", config=config)
        self.live[run.id] = tracked
        if tracked.mode == "online" and tracked.handle.url:
            self.on_url(run.id, tracked.handle.url)

    def log(self, run: Run, evaluation: Evaluation) -> None:
        scores = asdict(evaluation)
        step = scores.pop("step")
        if step <= self.live[run.id].step:
            return
        self.live[run.id].step = step
        history = {f"dev/{name}": value for name, value in scores.items()}
        self._use(self.live[run.id], lambda handle: handle.log(history, step=step, commit=True))

    def pause(self, run: Run) -> None:
        self.live[run.id].paused = True

    def end(self, run: Run, outcome: Outcome) -> None:
        if run.id not in self.live:  # It failed before a worker could take it up.
            self.begin(run)
        summary = {key: getattr(outcome, key) for key in _SUMMARY}
        summary["state"] = outcome.state.value  # wandb would write an Enum's name.
        self._finish(run.id, summary, 1 if outcome.state is RunState.FAILED else 0)
        # Now and not only at the end, which a killed sweep never sees.
        write_sync_script(self.folder / "wandb")

    def end_study(self, log: StudyLog) -> None:
        """Log tables and figures; what is still under way was interrupted."""
        tracked = self._open(name=self.study, job_type="study", config={"study": self.study})
        self.live["study"] = tracked
        self._use(tracked, lambda handle: handle.log(log.media()))
        self._finish("study", log.summary(), 0)
        for run_id in list(self.live):
            self._finish(run_id, {"state": "queued", "reason": "interrupted"}, 1)
        self._settle(wait=True)

    def abandon(self) -> None:
        """Called from another thread when this one hangs and the program wants to end."""
        for tracked in [*self.live.values(), *(tracked for tracked, _ in self.ending)]:
            tracked.give_up()
        stop_wandb(patience_s=2 * FLUSH_SECONDS)

    def _open(self, **fields: Any) -> Tracked:
        self._settle()
        if self.mode == "online":
            try:
                return self._init("online", fields)
            except Exception as error:
                self._go_offline(error)
        return self._init("offline", fields)

    def _init(self, mode: LiveMode, fields: dict[str, Any]) -> Tracked:
        def init() -> wandb.Run:
            import wandb

            wandb.setup(settings=wandb.Settings(silent=True))
            return wandb.init(
                **fields,
                project=self.project,
                entity=self.entity,
                dir=self.folder,
                # Ours, so that WANDB_RUN_ID can't lead all runs into one.
                id=uuid4().hex[:12],
                group=self.study,
                mode=mode,
                # Several runs are open at once; by default the first one would come back.
                reinit="create_new",
                settings=wandb_settings(self.timeout_s),
            )

        return Tracked(start_call(init).result(self.timeout_s + GRACE_SECONDS), mode)

    def _finish(self, key: str, summary: dict[str, Any], exit_code: int) -> None:
        def finish(handle: wandb.Run) -> None:
            handle.summary.update({k: v for k, v in summary.items() if v is not None})
            handle.finish(exit_code=exit_code)

        tracked = self.live[key]
        if tracked.mode == "offline":
            self._use(tracked, finish)
        elif not tracked.lost:
            self.ending.append((tracked, start_call(partial(finish, tracked.handle))))
        del self.live[key]

    def _settle(self, *, wait: bool = False) -> None:
        """Take note of the runs that have ended; with `wait`, of all that are ending."""
        ended = [(tracked, done) for tracked, done in self.ending if wait or done.done()]
        for tracked, done in ended:
            self._await(tracked, done)
            self.ending.remove((tracked, done))

    def _use(self, tracked: Tracked, call: Callable[[wandb.Run], None]) -> None:
        if not tracked.lost:
            self._await(tracked, start_call(partial(call, tracked.handle)))

    def _await(self, tracked: Tracked, done: Future[None]) -> None:
        try:
            done.result(self.timeout_s + GRACE_SECONDS)
        except Exception as error:
            if tracked.mode == "offline":
                raise
            tracked.give_up()
            self._go_offline(error)

    def _go_offline(self, error: Exception) -> None:
        if self.mode == "online":
            self.mode = "offline"
            self.say(f"wandb's server is lost ({brief(error)}); new runs are logged offline.")
