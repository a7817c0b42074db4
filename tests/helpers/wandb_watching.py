"""A watcher that logs to wandb, and runs to show it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.core.recipe import Lora, Recipe, Trainer
from sweep.loop.ports import Totals
from sweep.loop.trial import (
    Evaluated,
    Evaluation,
    Event,
    Finished,
    Outcome,
    Run,
    RunState,
)
from sweep.watch.tracked_values import StudyLog
from sweep.watch.tracking import TrackingWatcher
from sweep.watch.wandb_log import wandb_watcher
from sweep.watch.wandb_target import Target

STUDY = "한국어 스터디"


def make_run(trial: int, *, r: int = 8, seed: int = 0) -> Run:
    recipe = Recipe(
        lora=Lora(r=r, lora_alpha=16, lora_dropout=0.1, target_modules=("query", "value")),
        trainer=Trainer(learning_rate=2e-3),
        seed=seed,
    )
    return Run(trial, {"rank": f"r{r}"}, recipe)


def evaluation(step: int, pearson: float) -> Evaluation:
    return Evaluation(step, step / 10, pearson, pearson - 0.1, 0.5)


def evaluated(run: Run, step: int, pearson: float) -> Evaluated:
    return Evaluated(run.id, evaluation(step, pearson))


def finished(run: Run, pearson: float = 0.8, *, curve: dict[int, float] | None = None) -> Finished:
    """Its curve is a Pearson by step."""
    outcome = Outcome(
        RunState.COMPLETE,
        evaluations=tuple(evaluation(*rung) for rung in (curve or {}).items()),
        score=pearson,
        score_last=pearson - 0.05,
        best_step=10,
        beside=pearson - 0.1,
    )
    return Finished(run.id, outcome)


def failed(run: Run) -> Finished:
    return Finished(run.id, Outcome(RunState.FAILED, reason="CUDA out of memory"))


def make_table() -> pd.DataFrame:
    """Like `table.csv`: missing values in columns of every kind."""
    table = pd.DataFrame(
        {
            "trial": [0, 1, 2],
            "state": ["complete", "failed", "complete"],
            "reason": [None, "CUDA out of memory", None],
            "pearson": [0.8, None, 0.7],
            "best_step": [10, None, 20],
            "target": ["qv", "qv", 3],
        }
    )
    return table.astype({"best_step": "Int64"})


class Listener:
    """The other side of a watcher: what it said and when."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.urls: list[tuple[str, str]] = []
        self.threads: set[threading.Thread] = set()

    def say(self, line: str) -> None:
        self.threads.add(threading.current_thread())
        self.lines.append(line)

    def on_url(self, run_id: str, url: str) -> None:
        self.urls.append((run_id, url))


def make_watcher(folder: Path, listener: Listener, **changes: Any) -> TrackingWatcher:
    settings: dict[str, Any] = {
        "mode": "offline",
        "target": Target(project="lora"),
        "timeout_s": 30.0,
        "searched_keys": ("lora.r", "trainer.learning_rate", "data.max_length"),
        "read_study": lambda: StudyLog(make_table()),
        "on_url": listener.on_url,
        "say": listener.say,
    }
    return wandb_watcher(folder, **(settings | changes))


def play(watcher: TrackingWatcher, *steps: tuple[Run, Event]) -> None:
    watcher.opened(Totals(STUDY, 3))
    for run, event in steps:
        watcher.run_event(run, event)
    watcher.closed()
    watcher.finish()
