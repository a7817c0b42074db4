"""What holds for every run of a sweep, in one line: a score is read beside it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sweep.core.recipe import Recipe
from sweep.core.words import name_of, setting


def common_line(base: Recipe, searched: Collection[str]) -> str:
    """Steps, batch, learning rate, length and the LoRA settings that no run differs in.

    Args:
        searched: Dotted keys that differ between runs; they are left out.
    """
    budget = "trainer.max_steps" if base.trainer.max_steps > 0 else "trainer.num_train_epochs"
    shown = (
        budget,
        "trainer.per_device_train_batch_size",
        "trainer.gradient_accumulation_steps",
        "trainer.learning_rate",
        "trainer.lr_scheduler_type",
        "trainer.warmup_steps",
        "trainer.weight_decay",
        "data.max_length",
        "task.encoder",
        "task.loss",
        "lora.r",
        "lora.lora_alpha",
        "lora.use_rslora",
        "lora.use_dora",
        "lora.lr_ratio",
        "lora.init_lora_weights",
        "lora.rank_pattern",
        "lora.alpha_pattern",
        "lora.modules_to_save",
        "lora.lora_dropout",
        "lora.target_modules",
    )
    idle: dict[str, object] = {"trainer.gradient_accumulation_steps": 1, "lora.use_rslora": False}
    idle |= {"lora.use_dora": False, "lora.lr_ratio": 1.0, "lora.init_lora_weights": True}
    idle |= {"lora.rank_pattern": {}, "lora.alpha_pattern": {}, "lora.modules_to_save": ()}
    idle |= {"task.encoder": "cross", "task.loss": "mse"}
    parts = [
        _setting(key, base.value_of(key))
        for key in shown
        if key not in searched and base.value_of(key) != idle.get(key, object())
    ]
    return f"all    {' '.join(parts)}"


def _setting(key: str, value: Any) -> str:
    return name_of(key) if value is True else setting(key, value)
