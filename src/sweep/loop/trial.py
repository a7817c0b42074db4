"""What is tried and what came of it: trial, run, evaluation, outcome, events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sweep.core.recipe import Recipe
from sweep.core.words import settings_text
from sweep.space.space import Params


class RunState(StrEnum):
    """State of a run: one training of one recipe."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"

    def is_finished(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True)
class Trial:
    """One config that the search wants to see, under Optuna's number."""

    number: int
    params: Params


@dataclass(frozen=True)
class Run:
    """One recipe to train, for one trial."""

    trial: int
    params: Params
    recipe: Recipe
    #: Number of the evaluation at which it is to pause; None trains it to the end.
    until: int | None = None

    @property
    def id(self) -> str:
        return self.recipe.run_id

    @property
    def name(self) -> str:
        """For people: trial number, what was searched, seed: `003 r=8 on qv s0`."""
        if self.recipe.tuning == "full":
            rate = self.recipe.trainer.learning_rate
            return f"full fine-tuning lr={rate:g} s{self.recipe.seed}"
        return f"{self.trial:03d} {settings_text(self.params, none='base')} s{self.recipe.seed}"


@dataclass(frozen=True)
class Evaluation:
    """Dev scores at one rung.

    `score` is by the metric of the study, `beside` by the one that is told beside it. `loss` is the
    mean squared error on dev; of classes the share that is wrong.
    """

    step: int
    epoch: float
    score: float
    beside: float
    loss: float


@dataclass(frozen=True)
class Glimpse:
    """A score on a small part of dev, between evaluations: for people, and decides nothing."""

    step: int
    score: float


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves. Missing is None, never 0.

    `score` is the best dev evaluation, `beside` belongs to the same step, and the kept adapter is
    from there. `train_seconds` counts training and evaluation, not loading.
    """

    state: RunState
    reason: str | None = None
    score: float | None = None
    score_last: float | None = None
    best_step: int | None = None
    beside: float | None = None
    evaluations: tuple[Evaluation, ...] = ()
    glimpses: tuple[Glimpse, ...] = ()
    adapted_modules: int | None = None
    lora_params: int | None = None
    head_params: int | None = None
    #: All that is trained: adapters, head, and whatever else of the base.
    trained_params: int | None = None
    train_seconds: float | None = None
    steps: int | None = None
    tokens_per_second: float | None = None
    peak_memory_mb: float | None = None
    #: Of the frozen base, as it is kept on the device.
    base_memory_mb: float | None = None
    pack_size: int = 1
    worker: str | None = None
    #: Where the pruner wanted to end a run that was trained on, to find out what pruning costs.
    audited_step: int | None = None
    #: Stack trace of a failure, for the log; never shown alone.
    error: str | None = None
    #: Whether the same training would end like this again, whenever and wherever it is tried.
    recurs: bool = False

    @property
    def trained(self) -> int | None:
        """Trained parameters; an older program has counted adapters and head only."""
        parts = [n for n in (self.lora_params, self.head_params) if n is not None]
        return self.trained_params if self.trained_params is not None else sum(parts) or None

    @property
    def in_competition(self) -> list[Evaluation]:
        """Evaluations that others are compared with: beyond its cut, an audited run is out."""
        cut_at = self.audited_step
        return [e for e in self.evaluations if cut_at is None or e.step <= cut_at]


@dataclass(frozen=True)
class Started:
    """A worker took the run up."""

    run_id: str
    worker: str


@dataclass(frozen=True)
class Progress:
    """Where the run is; sent at most about once a second."""

    run_id: str
    step: int
    total_steps: int


@dataclass(frozen=True)
class Evaluated:
    """A rung was reached."""

    run_id: str
    evaluation: Evaluation


@dataclass(frozen=True)
class Glimpsed:
    """A first idea of a run that has not come to its next rung."""

    run_id: str
    glimpse: Glimpse


@dataclass(frozen=True)
class Paused:
    """The run waits at a rung and holds no worker; `outcome` is what it leaves if it ends there."""

    run_id: str
    outcome: Outcome


@dataclass(frozen=True)
class PutBack:
    """The run's worker has died or left in the middle of it; it is taken up again."""

    run_id: str
    worker: str
    #: What ended the worker, in a few words.
    cause: str
    #: Otherwise it has left in order, and the run goes on from where it was.
    died: bool = True


@dataclass(frozen=True)
class Finished:
    """The run ended, for good or bad."""

    run_id: str
    outcome: Outcome


Event = Started | Progress | Evaluated | Glimpsed | Paused | PutBack | Finished
