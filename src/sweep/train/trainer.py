"""The Hugging Face `Trainer` for a pack of 1 to K runs. There is no other way of training."""

from __future__ import annotations

import dataclasses
import json
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

from sweep.core.recipe import Trainer
from sweep.loop.ports import Handle
from sweep.lora.batches import Batch, Collator, GroupedByLength, TokenisedPairs, on_device
from sweep.lora.whole import AnyPack
from sweep.train.checkpoints import Checkpoint, restore_random_states
from sweep.train.devices import num_gpus
from sweep.train.glimpses import glimpse_steps, glimpsed_pairs
from sweep.train.keeper import Keeper
from sweep.train.losses import losses
from sweep.train.members import Members
from sweep.train.optimizers import PackOptimizer, PackSchedule, RunOptimizer
from sweep.train.splits import ScoredSet, Splits

#: Steps between looks at the training losses, to stop a run that has diverged.
_LOGGING_STEPS = 10


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
        pack: AnyPack,
        keepers: dict[str, Keeper],
        shared: Splits,
        handle: Handle,
        *,
        scratch: str,
    ) -> None:
        self._pack, self._task = pack, pack.runs[0].recipe.task
        self._run_args = {
            run.id: training_arguments(run.recipe.trainer, seed=run.recipe.seed, scratch=scratch)
            for run in pack.runs
        }
        # Each run clips its own gradients.
        args = dataclasses.replace(self._run_args[pack.runs[0].id], max_grad_norm=0.0)
        self._rows, self._collate = shared.train, Collator(shared.tokenizer)
        super().__init__(
            model=pack.model,
            args=args,
            train_dataset=shared.train,
            eval_dataset=shared.dev,
            data_collator=self._collate,
        )
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self._dev = ScoredSet(shared.dev, self._collate, args.per_device_eval_batch_size)
        self._glimpsed = self._few_pairs(shared.dev)
        self._members = Members(pack, keepers, handle, args.device)
        checkpoint = self._members.checkpoint
        self._scratch = Path(scratch)
        self._micro_batches = checkpoint.micro_batches if checkpoint else 0
        self._tokens = torch.tensor(checkpoint.tokens if checkpoint else 0, device=args.device)
        self._evaluated_step = checkpoint.step if checkpoint else -1
        #: Of the last evaluation, with all that is kept of it.
        self.eval_seconds = 0.0

    @property
    def tokens(self) -> int:
        """That each run was trained on, without padding."""
        return int(self._tokens)

    def train_to_the_end(self) -> None:
        """Train, and evaluate the last step if its turn has not come."""
        self._members.start_clock()
        checkpoint = self._members.checkpoint
        self._members.pause_due(checkpoint.step if checkpoint else 0)
        if not self._pack.runs:
            return
        if self.args.device.type == "cuda":
            self.probe(self.longest_rows())
        self.train(
            resume_from_checkpoint=str(self._trainer_checkpoint(checkpoint)) if checkpoint else None
        )
        if self._pack.runs and self._evaluated_step != self.state.global_step:
            self.evaluate()
        self._members.share_time()

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
        optimizer: Any = PackOptimizer(self._pack, self._members.optimizers)
        self.optimizer = optimizer
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        decayed = set(self.get_decay_parameter_names(self._pack.model))
        for run in self._pack.runs:
            self._members.optimizers[run.id] = RunOptimizer.of(
                self._run_args[run.id],
                self._pack.run_parameters(run.id),
                decayed=decayed,
                lr_ratio=run.recipe.lora.lr_ratio,
                steps=num_training_steps,
                in_fp16=run.recipe.trainer.precision == "fp16",
            )
        schedule: Any = PackSchedule(self._members.optimizers)
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
        """The sum over the runs of their losses: no run's gradient sees another's."""
        by_run = losses(self._pack.forward(inputs), inputs["labels"], self._task)
        self._members.losses += by_run.detach()
        self._tokens += inputs["num_tokens"]
        return self._members.scaled(by_run)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: the Trainer would go through all parameters at every step."""
        return 0

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score all runs on dev in one pass; a run without a correlation leaves the pack."""
        step, epoch = self.state.global_step, float(self.state.epoch or 0.0)
        self._evaluated_step = step
        start = time.perf_counter()
        predictions = self._dev.predictions(self._pack, self.args.device)
        self._members.evaluate(step, epoch, predictions, self._dev.labels)
        if not self._at_the_end():
            # An answer to an evaluation is there at once where the driver is this process.
            self._members.drop_stopped(step)
            self._keep_place(step)
        self.eval_seconds = time.perf_counter() - start
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, {})
        return {}

    def expected_eval_seconds(self) -> float:
        """What scoring dev takes, by the few pairs of a glimpse."""
        few, start = self._glimpsed or self._dev, time.perf_counter()
        few.predictions(self._pack, self.args.device)
        return (time.perf_counter() - start) * len(self._dev.labels) / len(few.labels)

    def _few_pairs(self, dev: TokenisedPairs) -> ScoredSet | None:
        """What a glimpse scores; None of a small dev."""
        places = glimpsed_pairs(dev.labels)
        size = self.args.per_device_eval_batch_size
        return ScoredSet(dev, self._collate, size, places) if places else None

    def _glimpse(self, step: int) -> None:
        """Between evaluations, for people: it takes a twentieth of the time of one."""
        if self._glimpsed is None or step not in glimpse_steps(self.state.max_steps):
            return
        predictions = self._glimpsed.predictions(self._pack, self.args.device)
        self._members.glimpse(step, predictions, self._glimpsed.labels)

    def _keep_place(self, step: int) -> None:
        """Write where each run is; those that are to wait here leave."""
        self._members.write_checkpoints(
            step,
            trainer_state=json.dumps(dataclasses.asdict(self.state)),
            micro_batches=self._micro_batches,
            tokens=self.tokens,
        )
        self._members.pause_due(step)

    def _trainer_checkpoint(self, checkpoint: Checkpoint) -> Path:
        """The Trainer's own notes of where it was; the rest is in the runs' checkpoints."""
        folder = self._scratch / f"checkpoint-{checkpoint.step}"
        folder.mkdir(exist_ok=True)
        (folder / TRAINER_STATE_NAME).write_text(checkpoint.trainer_state, encoding="utf-8")
        return folder

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self._members.load_weights()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self._members.load_optimizers()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        own = self._members.checkpoint
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
        """After a step: let go of runs that are not to go on, then as the Trainer does."""
        step, ends = self.state.global_step, self._at_the_end()
        # At the end, whoever was asked to stop is as good as done.
        looks = self._members.tell_progress(step, total=self.state.max_steps) and not ends
        if looks:
            self._members.drop_stopped(step)
        if step % _LOGGING_STEPS == 0 or ends:
            self._members.drop_diverged(step)
        if looks and not self._evaluates_here() and self._members.are_to_leave_here:
            self._keep_place(step)
        if self._pack.runs and not self._evaluates_here():
            self._glimpse(step)
        if self._pack.runs:
            super()._maybe_log_save_evaluate(*args, **kwargs)
        if not self._pack.runs:
            self.control.should_training_stop = True

    def _evaluates_here(self) -> bool:
        """Whether this step is evaluated yet: a run that went on behind it would lack that.

        After the last step of an epoch, the Trainer says so only once the epoch has ended.
        """
        ends_epoch = float(self.state.epoch or 0.0).is_integer()
        by_epoch = self.args.eval_strategy == "epoch"
        return bool(self.control.should_evaluate) or (by_epoch and ends_epoch)

    def _at_the_end(self) -> bool:
        return self.state.global_step >= self.state.max_steps
