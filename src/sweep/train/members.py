"""The runs of a pack while they train: their evaluations, their time, and how each leaves."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from sweep.core.arrays import Floats
from sweep.core.errors import RunFailed
from sweep.loop.ports import Handle
from sweep.loop.trial import Evaluated, Finished, Glimpsed, Paused, Progress, Run, RunState
from sweep.lora.whole import AnyPack
from sweep.study.files import RunFiles
from sweep.study.notes import asked_to_pause, asked_to_pause_at_step, asked_to_stop
from sweep.train.checkpoints import Checkpoint, random_states, write_checkpoint
from sweep.train.cost import relative_cost
from sweep.train.keeper import Keeper
from sweep.train.optimizers import RunOptimizer

#: Seconds between two progress events.
_PROGRESS_SECONDS = 0.5


class Members:
    """Follows the runs of a pack; one that leaves takes nothing from the others.

    Args:
        pack: A run that leaves is dropped from it.
        keepers: By run id; all start, or go on from one step.
        handle: Told of progress and evaluations, and of runs that leave.

    Attributes:
        optimizers: By run id, of those that are in the pack.
        losses: Sums of the training losses since the last look at them, `[K]`.
    """

    def __init__(
        self, pack: AnyPack, keepers: Mapping[str, Keeper], handle: Handle, device: torch.device
    ) -> None:
        self._pack = pack
        self._keepers = keepers
        self._handle = handle
        self.optimizers: dict[str, RunOptimizer] = {}
        self.losses: Tensor = torch.zeros(len(pack), device=device)
        self._next_progress = 0.0
        self._clock = time.perf_counter()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where the pack goes on, of its first run; None where it starts."""
        return next(iter(self._keepers.values())).checkpoint

    def start_clock(self) -> None:
        """What comes before is nobody's time."""
        self._clock = time.perf_counter()

    def share_time(self) -> None:
        """Share the time since the last call out to the runs that were there, by their cost."""
        now = time.perf_counter()
        costs = {run.id: relative_cost(run.recipe) for run in self._pack.runs}
        for run_id, cost in costs.items():
            self._keepers[run_id].seconds += (now - self._clock) * cost / sum(costs.values())
        self._clock = now

    def tell_progress(self, step: int, *, total: int) -> bool:
        """Report where the runs are, now and then; whether it was time to."""
        now = time.monotonic()
        if now < self._next_progress and step < total:
            return False
        self._next_progress = now + _PROGRESS_SECONDS
        for run in self._pack.runs:
            self._handle(Progress(run.id, step, total))
        return True

    def evaluate(self, step: int, epoch: float, predictions: Floats, labels: Floats) -> None:
        """Score predictions `[K, N]`; a run without a correlation leaves."""
        for run, row in zip(list(self._pack.runs), predictions, strict=True):
            try:
                evaluation = self._keepers[run.id].evaluate(step, epoch, row, labels, self._pack)
            except RunFailed as failure:
                self._drop(run, str(failure), step=step)
            else:
                self._handle(Evaluated(run.id, evaluation))
        self.share_time()

    def glimpse(self, step: int, predictions: Floats, labels: Floats) -> None:
        """Tell what predictions `[K, N]` for a few pairs score; nothing else comes of it."""
        for run, row in zip(self._pack.runs, predictions, strict=True):
            if glimpse := self._keepers[run.id].glimpse(step, row, labels):
                self._handle(Glimpsed(run.id, glimpse))

    def drop_stopped(self, step: int) -> None:
        """Let go of runs that somebody has asked to stop."""
        for run in list(self._pack.runs):
            reason = asked_to_stop(self._keepers[run.id].folder)
            if reason is not None:
                self._drop(run, reason, RunState.PRUNED, step=step)

    def drop_diverged(self, step: int) -> None:
        """Let go of runs with a loss that is no number since the last look."""
        for run, total in zip(list(self._pack.runs), self.losses.tolist(), strict=True):
            if not math.isfinite(total):
                reason = f"diverged: the training loss is {total} at step {step}"
                self._drop(run, reason, step=step)
        self._forget_losses()

    def scaled(self, losses: Tensor) -> Tensor:
        """The sum of losses `[K]` that is differentiated, in fp16 each with its own scale."""
        if self._pack.runs[0].recipe.trainer.precision != "fp16":
            return losses.sum()
        members = [self.optimizers[run.id] for run in self._pack.runs]
        return torch.stack([m.scaled(x) for m, x in zip(members, losses, strict=True)]).sum()

    @property
    def are_to_leave_here(self) -> bool:
        """Whether the sweep ends too soon for the next evaluation."""
        return any(
            asked_to_pause_at_step(self._keepers[run.id].folder.parent)
            for run in self._pack.runs[:1]
        )

    def pause_due(self, step: int) -> None:
        """Runs that have come to where they are to wait leave their checkpoint behind."""
        for run in list(self._pack.runs):
            keeper = self._keepers[run.id]
            is_due = run.until is not None and len(keeper.evaluations) >= run.until
            # The sweep is to end early.
            if is_due or asked_to_pause(keeper.folder.parent):
                self.share_time()
                outcome = keeper.cut_short(self._pack, RunState.PRUNED, None, steps=step)
                self._let_go(run)
                self._handle(Paused(run.id, outcome))

    def write_checkpoints(
        self, step: int, *, trainer_state: str, micro_batches: int, tokens: int
    ) -> None:
        """Where each run is, on disk, so that it can go on from here.

        Args:
            trainer_state: transformers' `TrainerState`, as JSON.
            micro_batches: Batches seen.
            tokens: Trained on, without padding.
        """
        self.share_time()
        for run in self._pack.runs:
            keeper, own = self._keepers[run.id], self.optimizers[run.id]
            parameters = self._pack.run_parameters(run.id)
            checkpoint = Checkpoint(
                step=step,
                trainer_state=trainer_state,
                micro_batches=micro_batches,
                tokens=tokens,
                seconds=keeper.seconds,
                evaluations=tuple(keeper.evaluations),
                glimpses=tuple(keeper.glimpses),
                # Copies: a view would bring its whole stack along.
                weights={name: p.detach().cpu().clone() for name, p in parameters.items()},
                random_states=random_states(self.losses.device),
                **own.state(),
            )
            write_checkpoint(keeper.folder, checkpoint)

    def load_weights(self) -> None:
        """Of the runs' own checkpoints, which there are."""
        for run in self._pack.runs:
            checkpoint = self._keepers[run.id].checkpoint
            assert checkpoint is not None
            for name, parameter in self._pack.run_parameters(run.id).items():
                parameter.data.copy_(checkpoint.weights[name])

    def load_optimizers(self) -> None:
        """The state of optimizers and schedules, of the runs' own checkpoints."""
        for run_id, member in self.optimizers.items():
            checkpoint = self._keepers[run_id].checkpoint
            if checkpoint is not None:
                member.load(checkpoint)

    def _drop(self, run: Run, reason: str, state: RunState = RunState.FAILED, *, step: int) -> None:
        """A run ends early; what it held is freed, the others go on."""
        self.share_time()
        outcome = self._keepers[run.id].cut_short(self._pack, state, reason, steps=step)
        self._let_go(run)
        self._handle(Finished(run.id, outcome))
        RunFiles(self._keepers[run.id].folder).remove_checkpoint()

    def _let_go(self, run: Run) -> None:
        self.optimizers.pop(run.id, None)
        self._pack.drop(run.id)
        self._forget_losses()

    def _forget_losses(self) -> None:
        self.losses = self.losses.new_zeros(len(self._pack))
