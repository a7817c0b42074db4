"""One optimizer and one schedule for each run of a pack, behind the Trainer's one of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import Trainer, TrainingArguments, get_scheduler

from sweep.lora.whole import AnyPack
from sweep.train.checkpoints import Checkpoint


@dataclass
class RunOptimizer:
    """What updates one run: its optimizer, its schedule, its limit on the gradient's norm."""

    parameters: list[nn.Parameter]
    optimizer: Optimizer
    schedule: LRScheduler
    max_grad_norm: float
    #: Of the loss of a run in fp16, whose gradients would vanish on their way through the base.
    scaler: GradScaler | None = None
    #: Whether the last step was left out: in fp16, a gradient had overflown.
    skipped: bool = False

    @classmethod
    def of(
        cls,
        args: TrainingArguments,
        parameters: Mapping[str, nn.Parameter],
        *,
        decayed: Collection[str],
        lr_ratio: float,
        steps: int,
        in_fp16: bool = False,
    ) -> RunOptimizer:
        """As the Trainer would build them for a model with these parameters alone.

        Args:
            decayed: Names of parameters that weight decay applies to.
            lr_ratio: Learning rate of B and of biases over that of all else (LoRA+).
            steps: Length of the schedule, in optimizer steps.
        """
        kind, arguments = Trainer.get_optimizer_cls_and_kwargs(args)
        if kind in (torch.optim.Adam, torch.optim.AdamW):
            # The same update in one pass over each parameter; without it, in a dozen.
            arguments = {**arguments, "fused": True}
        optimizer = kind(_groups(args, parameters, decayed, lr_ratio), **arguments)
        schedule = get_scheduler(
            args.lr_scheduler_type,
            optimizer=optimizer,
            num_warmup_steps=args.get_warmup_steps(steps),
            num_training_steps=steps,
            scheduler_specific_kwargs=cast(dict[str, Any], args.lr_scheduler_kwargs),
        )
        scaler = GradScaler(args.device.type) if in_fp16 else None
        return cls(list(parameters.values()), optimizer, schedule, args.max_grad_norm, scaler)

    def scaled(self, loss: Tensor) -> Tensor:
        """What is differentiated."""
        return loss if self.scaler is None else self.scaler.scale(loss)

    def step(self) -> None:
        if self.scaler is None:
            self._clip()
            self.optimizer.step()
            return
        before = self.scaler.get_scale()
        self.scaler.unscale_(self.optimizer)
        self._clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.skipped = self.scaler.get_scale() < before

    def state(self) -> dict[str, dict[str, Any]]:
        """All that a run goes on from, by the fields of its checkpoint."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": {} if self.scaler is None else self.scaler.state_dict(),
        }

    def load(self, checkpoint: Checkpoint) -> None:
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.schedule.load_state_dict(checkpoint.schedule)
        if self.scaler is not None and checkpoint.scaler:
            self.scaler.load_state_dict(checkpoint.scaler)

    def _clip(self) -> None:
        if self.max_grad_norm > 0:
            nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)


def _groups(
    args: TrainingArguments,
    parameters: Mapping[str, nn.Parameter],
    decayed: Collection[str],
    lr_ratio: float,
) -> list[dict[str, Any]]:
    """Parameters of equal decay and learning rate; as the Trainer has them where the ratio is 1."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        # PEFT's own division, with one-dimensional parameters beside B.
        faster = lr_ratio != 1 and ("lora_B" in name or parameter.ndim == 1)
        groups.setdefault((name not in decayed, faster), []).append(parameter)
    return [
        {
            "params": members,
            "weight_decay": 0.0 if undecayed else args.weight_decay,
            **({"lr": args.learning_rate * lr_ratio} if faster else {}),
        }
        for (undecayed, faster), members in sorted(groups.items(), key=lambda group: group[0])
    ]


class PackOptimizer:
    """Stands where the Trainer has its optimizer; updates every run and clears the gradients.

    Args:
        members: By run id. A run that leaves the pack is taken out of it.
    """

    def __init__(self, pack: AnyPack, members: dict[str, RunOptimizer]) -> None:
        self._pack = pack
        self._members = members

    def step(self) -> None:
        self._pack.hand_out_gradients()
        for member in self._members.values():
            member.step()
        self._pack.zero_gradients()


class PackSchedule:
    """Stands where the Trainer has its schedule; moves that of every run on that took its step."""

    def __init__(self, members: dict[str, RunOptimizer]) -> None:
        self._members = members

    def step(self) -> None:
        for member in self._members.values():
            if not member.skipped:
                member.schedule.step()

    def get_last_lr(self) -> list[float]:
        """Learning rates of the first run; the Trainer logs the first of them."""
        first = next(iter(self._members.values()), None)
        return [0.0] if first is None else [float(lr) for lr in first.schedule.get_last_lr()]
