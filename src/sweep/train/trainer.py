"""The Hugging Face `Trainer` for a pack of 1 to K runs. There is no other way of training."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, Dataset, Sampler
from transformers import (
    PrinterCallback,
    ProgressCallback,
    TrainingArguments,
)
from transformers import Trainer as HfTrainer
from transformers.trainer import TRAINER_STATE_NAME

from sweep.core.errors import RunFailed
from sweep.core.recipe import Trainer
from sweep.loop.ports import Handle
from sweep.loop.trial import Evaluated, Finished, Paused, Progress, Run, RunState
from sweep.lora.batches import Batch, Collator, GroupedByLength, on_device
from sweep.lora.pack import PackedModel
from sweep.study.files import RunFiles
from sweep.study.notes import asked_to_pause, asked_to_stop
from sweep.train.checkpoints import (
    Checkpoint,
    random_states,
    restore_random_states,
    write_checkpoint,
)
from sweep.train.cost import relative_cost
from sweep.train.devices import num_gpus
from sweep.train.keeper import Keeper
from sweep.train.optimizers import PackOptimizer, PackSchedule, RunOptimizer
from sweep.train.splits import ScoredSet, Splits

#: Steps between looks at the training losses, to stop a run that has diverged.
_LOGGING_STEPS = 10
#: Seconds between two progress events.
_PROGRESS_SECONDS = 0.5


def training_arguments(trainer: Trainer, *, seed: int, scratch: str) -> TrainingArguments:
    """The recipe's settings and those that a sweep decides itself."""
    settings = dataclasses.asdict(trainer)
    # The base is kept in its precision: autocast would cast frozen weights at every step.
    del settings["precision"]
    return TrainingArguments(
        **settings,
        output_dir=scratch,
        seed=seed,
        data_seed=seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=_LOGGING_STEPS,
        # The filter would look at the loss, and wait for it, at every step.
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=num_gpus(use_cpu=trainer.use_cpu) > 0,
    )


class PackTrainer(HfTrainer):
    """The `Trainer` for a pack: the sum of the runs' losses, and everything else for each run.

    What it overrides of transformers' own is listed in `sweep.core.hooks`.

    Args:
        keepers: By run id.
        handle: Told of progress and evaluations, and of runs that failed.
    """

    def __init__(
        self,
        pack: PackedModel,
        keepers: dict[str, Keeper],
        shared: Splits,
        handle: Handle,
        *,
        scratch: str,
    ) -> None:
        self._pack = pack
        self._keepers = keepers
        self._handle = handle
        self._run_args = {
            run.id: training_arguments(run.recipe.trainer, seed=run.recipe.seed, scratch=scratch)
            for run in pack.runs
        }
        # Each run clips its own gradients.
        args = dataclasses.replace(self._run_args[pack.runs[0].id], max_grad_norm=0.0)
        collator = Collator(shared.tokenizer)
        super().__init__(
            model=pack.model,
            args=args,
            train_dataset=shared.train,
            eval_dataset=shared.dev,
            data_collator=collator,
        )
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self._rows, self._collate = shared.train, collator
        self._dev = ScoredSet(shared.dev, collator, args.per_device_eval_batch_size)
        self._members: dict[str, RunOptimizer] = {}
        checkpoint = next(iter(keepers.values())).checkpoint
        self._scratch = Path(scratch)
        self._micro_batches = checkpoint.micro_batches if checkpoint else 0
        self._tokens = torch.tensor(checkpoint.tokens if checkpoint else 0, device=args.device)
        self._losses = torch.zeros(len(pack), device=args.device)
        self._evaluated_step = checkpoint.step if checkpoint else -1
        self._next_progress = 0.0
        self._clock = time.perf_counter()
        #: Of the last evaluation, with all that is kept of it.
        self.eval_seconds = 0.0

    @property
    def tokens(self) -> int:
        """That each run was trained on, without padding."""
        return int(self._tokens)

    def train_to_the_end(self) -> None:
        """Train, and evaluate the last step if its turn has not come."""
        self._clock = time.perf_counter()
        self._pause_due()
        if not self._pack.runs:
            return
        if self.args.device.type == "cuda":
            self.probe(self.longest_rows())
        checkpoint = next(iter(self._keepers.values())).checkpoint
        self.train(
            resume_from_checkpoint=str(self._trainer_checkpoint(checkpoint)) if checkpoint else None
        )
        if self._pack.runs and self._evaluated_step != self.state.global_step:
            self.evaluate()
        self._share_time()

    def probe(self, rows: Sequence[int]) -> None:
        """One pass over a batch of these rows, and nothing kept of it.

        A pack that does not fit is found out at once, not in the middle of the training.
        """
        batch = self._collate([self._rows[int(i)] for i in rows])
        self._pack.model.train()
        self._pack.noise.at_step(0)
        loss = self._pack.forward(on_device(batch, self.args.device)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        self._pack.zero_gradients()

    def longest_rows(self) -> Sequence[int]:
        """The heaviest batch that there could be."""
        longest: list[int] = np.argsort(-self._rows.lengths)[: self.args.train_batch_size].tolist()
        return longest

    def heaviest_batch(self, most: int | None) -> Sequence[int]:
        """Rows of the batch with the most tokens among the first `most` of an epoch."""
        sampler = self._get_train_sampler(self._rows)
        assert sampler is not None
        batches = BatchSampler(sampler, self.args.train_batch_size, drop_last=False)
        return max(islice(batches, most), key=lambda rows: int(self._rows.lengths[rows].sum()))

    def create_optimizer(self, model: Any = None) -> Any:
        """The runs' own optimizers, whose schedules need the number of steps, come later."""
        optimizer: Any = PackOptimizer(self._pack, self._members)
        self.optimizer = optimizer
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        decayed = set(self.get_decay_parameter_names(self._pack.model))
        for run_id, args in self._run_args.items():
            parameters = self._pack.run_parameters(run_id)
            self._members[run_id] = RunOptimizer.of(
                args, parameters, decayed=decayed, steps=num_training_steps
            )
        schedule: Any = PackSchedule(self._members)
        self.lr_scheduler = schedule
        return schedule

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        self._pack.noise.at_step(self._micro_batches)
        self._micro_batches += 1
        return super().training_step(*args, **kwargs)

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The sum over the runs of their mean squared errors: no run's gradient sees another's."""
        predictions = self._pack.forward(inputs)
        losses: Tensor = (predictions - inputs["labels"]).square().mean(1)
        self._losses += losses.detach()
        self._tokens += inputs["num_tokens"]
        return losses.sum()

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: the Trainer would go through all parameters at every step."""
        return 0

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score all runs on dev in one pass; a run without a correlation leaves the pack."""
        step, epoch = self.state.global_step, float(self.state.epoch or 0.0)
        self._evaluated_step = step
        start = time.perf_counter()
        predictions = self._dev.predictions(self._pack, self.args.device)
        for run, row in zip(list(self._pack.runs), predictions, strict=True):
            keeper = self._keepers[run.id]
            try:
                evaluation = keeper.evaluate(step, epoch, row, self._dev.labels, self._pack)
            except RunFailed as failure:
                self._drop(run, str(failure))
            else:
                self._handle(Evaluated(run.id, evaluation))
        self._share_time()
        # An answer to an evaluation is there at once where the driver is this process.
        self._drop_stopped()
        if not self._at_the_end():
            for run in self._pack.runs:
                write_checkpoint(self._keepers[run.id].folder, self._checkpoint_of(run))
            self._pause_due()
        self.eval_seconds = time.perf_counter() - start
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, {})
        return {}

    def _trainer_checkpoint(self, checkpoint: Checkpoint) -> Path:
        """The Trainer's own notes of where it was; the rest is in the runs' checkpoints."""
        folder = self._scratch / f"checkpoint-{checkpoint.step}"
        folder.mkdir(exist_ok=True)
        (folder / TRAINER_STATE_NAME).write_text(checkpoint.trainer_state, encoding="utf-8")
        return folder

    def _checkpoint_of(self, run: Run) -> Checkpoint:
        member, keeper = self._members[run.id], self._keepers[run.id]
        parameters = self._pack.run_parameters(run.id)
        return Checkpoint(
            step=self.state.global_step,
            trainer_state=json.dumps(dataclasses.asdict(self.state)),
            micro_batches=self._micro_batches,
            tokens=self.tokens,
            seconds=keeper.seconds,
            evaluations=tuple(keeper.evaluations),
            # Copies: a view would bring its whole stack along.
            weights={name: p.detach().cpu().clone() for name, p in parameters.items()},
            optimizer=member.optimizer.state_dict(),
            schedule=member.schedule.state_dict(),
            random_states=random_states(self.args.device),
        )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        for run in self._pack.runs:
            checkpoint = self._keepers[run.id].checkpoint
            assert checkpoint is not None
            for name, parameter in self._pack.run_parameters(run.id).items():
                parameter.data.copy_(checkpoint.weights[name])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        for run_id, member in self._members.items():
            own = self._keepers[run_id].checkpoint
            if checkpoint is not None and own is not None:
                member.optimizer.load_state_dict(own.optimizer)
                member.schedule.load_state_dict(own.schedule)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        own = next(iter(self._keepers.values())).checkpoint
        if checkpoint is not None and own is not None:
            restore_random_states(own.random_states, self.args.device)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> None:
        """Not measured over the pack, whose gradients belong to different runs."""

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int] | None:
        if self.args.train_sampling_strategy == "group_by_length":
            size = self.args.train_batch_size * self.args.gradient_accumulation_steps
            return GroupedByLength(self._rows.lengths, size, self.args.seed)
        sampler: Sampler[int] | None = super()._get_train_sampler(train_dataset)
        return sampler

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """After a step: stop what has diverged, then as the Trainer does."""
        if self._tell_progress():
            self._drop_stopped()
        if self.state.global_step % _LOGGING_STEPS == 0 or self._at_the_end():
            self._drop_diverged()
        if self._pack.runs:
            super()._maybe_log_save_evaluate(*args, **kwargs)
        if not self._pack.runs:
            self.control.should_training_stop = True

    def _at_the_end(self) -> bool:
        return self.state.global_step >= self.state.max_steps

    def _tell_progress(self) -> bool:
        """Report where the runs are, now and then; whether it was time to."""
        now = time.monotonic()
        if now < self._next_progress and not self._at_the_end():
            return False
        self._next_progress = now + _PROGRESS_SECONDS
        for run in self._pack.runs:
            self._handle(Progress(run.id, self.state.global_step, self.state.max_steps))
        return True

    def _drop_stopped(self) -> None:
        """Let go of runs that somebody has asked to stop, unless they are as good as done."""
        if self._at_the_end():
            return
        for run in list(self._pack.runs):
            reason = asked_to_stop(self._keepers[run.id].folder)
            if reason is not None:
                self._drop(run, reason, RunState.PRUNED)

    def _drop_diverged(self) -> None:
        sums = self._losses.tolist()
        for run, total in zip(list(self._pack.runs), sums, strict=True):
            if not math.isfinite(total):
                step = self.state.global_step
                self._drop(run, f"diverged: the training loss is {total} at step {step}")
        self._losses = self._losses.new_zeros(len(self._pack))

    def _drop(self, run: Run, reason: str, state: RunState = RunState.FAILED) -> None:
        """A run ends early; what it held is freed, the others go on."""
        self._share_time()
        steps = self.state.global_step
        outcome = self._keepers[run.id].cut_short(self._pack, state, reason, steps=steps)
        self._let_go(run)
        self._handle(Finished(run.id, outcome))
        RunFiles(self._keepers[run.id].folder).remove_checkpoint()

    def _pause_due(self) -> None:
        """Runs that have come to where they are to wait leave their checkpoint behind."""
        for run in list(self._pack.runs):
            keeper = self._keepers[run.id]
            is_due = run.until is not None and len(keeper.evaluations) >= run.until
            # The sweep is to end early.
            if is_due or asked_to_pause(keeper.folder.parent):
                self._share_time()
                steps = keeper.evaluations[-1].step if keeper.evaluations else 0
                outcome = keeper.cut_short(self._pack, RunState.PRUNED, None, steps=steps)
                self._let_go(run)
                self._handle(Paused(run.id, outcome))

    def _let_go(self, run: Run) -> None:
        self._members.pop(run.id, None)
        self._pack.drop(run.id)
        self._losses = self._losses.new_zeros(len(self._pack))

    def _share_time(self) -> None:
        """Share the time since the last call out to the runs that were there, by their cost."""
        now = time.perf_counter()
        costs = {run.id: relative_cost(run.recipe) for run in self._pack.runs}
        for run_id, cost in costs.items():
            self._keepers[run_id].seconds += (now - self._clock) * cost / sum(costs.values())
        self._clock = now
