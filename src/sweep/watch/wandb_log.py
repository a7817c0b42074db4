"""Logs to Weights & Biases: a wandb run for every training, and one for the study's table.

wandb may be slow, silent or gone. So one daemon thread makes all calls to it, each bounded in
time, while the loop only puts jobs into a queue. What is logged is on disk before it is sent;
`<study folder>/wandb/sync.sh` sends later what did not get through.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sweep.core.ports import Totals
from sweep.core.space import label_of
from sweep.core.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Outcome,
    Paused,
    Run,
    RunState,
    Started,
)

if TYPE_CHECKING:
    import pandas as pd
    import wandb
from sweep.watch.wandb_setup import (
    FLUSH_SECONDS,
    UNSENT,
    LiveMode,
    brief,
    start_call,
    stop_wandb,
    wandb_settings,
    wandb_variables,
    write_sync_script,
)

#: wandb bounds its own calls; ours come into play when that fails.
_GRACE_SECONDS = 3.0
_FINISHED = [state.value for state in RunState if state.is_finished()]
_SUMMARY = (
    *("reason", "pearson", "pearson_last", "best_step", "spearman"),
    *("lora_params", "train_seconds", "peak_memory_mb"),
)
#: Names under which every run shows the LoRA settings, searched or not.
_RENAMED = {"lora.r": "r", "lora.lora_alpha": "alpha", "lora.lora_dropout": "dropout"}


class WandbWatcher:
    """A `Watcher` that makes the loop wait only at the end, for little more than `timeout_s`.

    A run gets a new wandb id at each attempt: a run that was killed and is trained again would
    meet its own half history under a fixed one. `run_id` in the config joins the attempts.
    When the server is lost, new runs are logged offline; when that fails too, wandb is given up
    for the rest of the sweep. Either is said once.

    Args:
        folder: The study's folder; wandb's files go to `wandb` in it.
        timeout_s: Longest wait for any call to wandb, and for everything left at the end.
        searched_keys: Dotted keys that are shown in the config of each run.
        read_table: The study's table; called at the end.
        on_url: Told run id and address of a run that is online. Like `say`, it is called from
            the loop's thread, at the next event.
        say: Shows the user a line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: LiveMode,
        project: str,
        entity: str | None,
        timeout_s: float,
        searched_keys: Sequence[str],
        read_table: Callable[[], pd.DataFrame],
        on_url: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._timeout_s = timeout_s
        self._read_table = read_table
        self._say = say
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._news: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._session = _Session(
            folder=folder.resolve(),
            mode=mode,
            project=project,
            entity=entity,
            timeout_s=timeout_s,
            keys=tuple(searched_keys),
            on_url=lambda run_id, url: self._news.put(partial(on_url, run_id, url)),
            say=self._say_later,
        )
        self._thread = Thread(target=self._work, name="wandb", daemon=True)

    def opened(self, totals: Totals) -> None:
        self._session.study = totals.study
        self._thread.start()

    def planned(self, totals: Totals, reason: str | None) -> None:
        """Every run is logged as it comes."""

    def run_event(self, run: Run, event: Event) -> None:
        if isinstance(event, Started):
            self._jobs.put(partial(self._session.begin, run))
        elif isinstance(event, Evaluated):
            self._jobs.put(partial(self._session.log, run, event.evaluation))
        elif isinstance(event, Paused):
            self._jobs.put(partial(self._session.pause, run))
        elif isinstance(event, Finished):
            self._jobs.put(partial(self._session.end, run, event.outcome))
        self._tell_news()

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        """It was logged when it was trained."""

    def closed(self) -> None:
        self._jobs.put(partial(self._session.end_study, self._read_table()))
        self._jobs.put(None)
        self._thread.join(self._timeout_s + 2 * _GRACE_SECONDS)
        if self._thread.is_alive():
            self._session.abandon()
            self._say_later(f"wandb was not done within {self._timeout_s:g} s, so it was left.")
        script = write_sync_script(self._folder / "wandb")
        if script is not None:
            self._say_later(f"wandb has yet to get some runs: sh {shlex.quote(str(script))}")
        self._tell_news()

    def _work(self) -> None:
        with wandb_variables(self._session.folder):
            try:
                while (job := self._jobs.get()) is not None:
                    job()
            except Exception as error:
                self._say_later(f"wandb stopped ({brief(error)}); the sweep goes on without it.")
            finally:
                stop_wandb(self._timeout_s)

    def _say_later(self, line: str) -> None:
        self._news.put(partial(self._say, line))

    def _tell_news(self) -> None:
        while not self._news.empty():
            self._news.get()()


@dataclass
class _Tracked:
    """A wandb run that is under way."""

    handle: wandb.Run
    mode: LiveMode
    #: wandb no longer takes its data.
    lost: bool = False
    #: The run waits at a rung; it is no second attempt when it goes on.
    paused: bool = False
    #: Last step that was logged: a run that goes on reports its evaluations again.
    step: int = -1

    def give_up(self) -> None:
        self.lost = True
        if self.mode == "online":
            (Path(self.handle.dir).parent / UNSENT).touch()


@dataclass
class _Session:
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
    live: dict[str, _Tracked] = field(default_factory=dict)
    #: Online runs that are sending their last data. All at once: when the server is gone, they
    #: wait for it together.
    ending: list[tuple[_Tracked, Future[None]]] = field(default_factory=list)

    def begin(self, run: Run) -> None:
        """A worker took the run up, perhaps for the second time."""
        if run.id in self.live and self.live[run.id].paused:
            self.live[run.id].paused = False
            return
        if run.id in self.live:
            self._finish(run.id, {"state": "failed", "reason": "its worker died; tried again"}, 1)
        config = {"study": self.study, **_flat_config(run, self.keys)}
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

    def end_study(self, table: pd.DataFrame) -> None:
        """Log the table; what is still under way was interrupted."""
        tracked = self._open(name=self.study, job_type="study", config={"study": self.study})
        self.live["study"] = tracked
        self._use(tracked, lambda handle: handle.log({"runs": _wandb_table(table)}))
        self._finish("study", _study_summary(table), 0)
        for run_id in list(self.live):
            self._finish(run_id, {"state": "queued", "reason": "interrupted"}, 1)
        self._settle(wait=True)

    def abandon(self) -> None:
        """Called from another thread when this one hangs and the program wants to end."""
        for tracked in [*self.live.values(), *(tracked for tracked, _ in self.ending)]:
            tracked.give_up()
        stop_wandb(patience_s=2 * FLUSH_SECONDS)

    def _open(self, **fields: Any) -> _Tracked:
        self._settle()
        if self.mode == "online":
            try:
                return self._init("online", fields)
            except Exception as error:
                self._go_offline(error)
        return self._init("offline", fields)

    def _init(self, mode: LiveMode, fields: dict[str, Any]) -> _Tracked:
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

        return _Tracked(start_call(init).result(self.timeout_s + _GRACE_SECONDS), mode)

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

    def _use(self, tracked: _Tracked, call: Callable[[wandb.Run], None]) -> None:
        if not tracked.lost:
            self._await(tracked, start_call(partial(call, tracked.handle)))

    def _await(self, tracked: _Tracked, done: Future[None]) -> None:
        try:
            done.result(self.timeout_s + _GRACE_SECONDS)
        except Exception as error:
            if tracked.mode == "offline":
                raise
            tracked.give_up()
            self._go_offline(error)

    def _go_offline(self, error: Exception) -> None:
        if self.mode == "online":
            self.mode = "offline"
            self.say(f"wandb's server is lost ({brief(error)}); new runs are logged offline.")


def _flat_config(run: Run, keys: Sequence[str]) -> dict[str, Any]:
    """Config without nesting or dots, which wandb's plots of importance can't read."""
    recipe, lora = run.recipe, run.recipe.lora
    shown = (*_RENAMED, "lora.target_modules")
    searched = {_flat_name(key): recipe.value_of(key) for key in keys if key not in shown}
    return {
        **{name: label_of(v) if isinstance(v, tuple) else v for name, v in searched.items()},
        **{name: recipe.value_of(key) for key, name in _RENAMED.items()},
        "targets": lora.targets_label,
        "scaling": lora.scaling,
        "seed": recipe.seed,
        "trial": run.trial,
        "run_id": run.id,
        "config_id": recipe.config_id,
    }


def _flat_name(key: str) -> str:
    """`trainer.learning_rate` is `learning_rate`; `data.path` keeps its part to stay unique."""
    part, _, name = key.partition(".")
    return name if part in ("lora", "trainer") else f"{part}_{name}"


def _wandb_table(table: pd.DataFrame) -> wandb.Table:
    import wandb

    # Missing in pandas is NaN or NA, by column; wandb knows None.
    cells = table.astype(object).where(table.notna(), None)
    rows: Any = cells.to_numpy().tolist()
    return wandb.Table(columns=list(table.columns), data=rows, allow_mixed_types=True)


def _study_summary(table: pd.DataFrame) -> dict[str, Any]:
    counts = {f"num_{s}": int((table["state"] == s).sum()) for s in _FINISHED}
    best = table.loc[table["state"] == "complete", "pearson"].max()
    # A NaN, when there is no score, is not equal to itself.
    return {**counts, "best_pearson": float(best) if best == best else None}
