"""Names of settings: those of today, those of yesterday, and those of other programs."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from sweep.core.errors import ConfigError
from sweep.core.recipe import SEARCHABLE_KEYS

#: Names that `TrainingArguments` has dropped, and what took their place.
OLD_TRAINER_NAMES = {
    "evaluation_strategy": "eval_strategy",
    "warmup_ratio": "warmup_steps",
    "no_cuda": "use_cpu",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "gradient_checkpointing": "activation_checkpointing",
}
#: Settings that this program makes itself; naming them is not a spelling mistake.
OWN_TRAINER_NAMES = {
    "output_dir": "the study's folder is `results_dir` and `name`",
    "overwrite_output_dir": "`resume=restart` moves an old study aside",
    "logging_dir": "logs lie in the study's folder",
    "report_to": "use `tracking=wandb tracking.mode=...`",
    "seed": "use `search.seeds=[...]`",
    "data_seed": "use `search.seeds=[...]`",
    "save_strategy": "the adapter of the best evaluation is always kept",
    "save_safetensors": "adapters are always saved as safetensors",
    "load_best_model_at_end": "the adapter of the best evaluation is always kept",
    "metric_for_best_model": "runs are ranked by `task.metric` on dev",
    "greater_is_better": "the higher `task.metric` is, the better",
    "label_names": "the program sets it",
    "tokenizer": "the tokenizer is loaded from `model.path`",
    "group_by_length": "use `trainer.train_sampling_strategy=group_by_length`",
}
#: What training scripts and trackers' sweeps call a setting whose name here says it otherwise.
_NAMES_ELSEWHERE = {
    "alpha": "lora.lora_alpha",
    "dropout": "lora.lora_dropout",
    "lora_r": "lora.r",
    "lora_rank": "lora.r",
    "lora_target_modules": "lora.target_modules",
    "rank": "lora.r",
    "batch_size": "trainer.per_device_train_batch_size",
    "epochs": "trainer.num_train_epochs",
    "lr": "trainer.learning_rate",
    "lr_scheduler": "trainer.lr_scheduler_type",
    "num_epochs": "trainer.num_train_epochs",
    "optimizer": "trainer.optim",
    "train_batch_size": "trainer.per_device_train_batch_size",
    "wd": "trainer.weight_decay",
    "model": "model.path",
    "model_name": "model.path",
    "model_name_or_path": "model.path",
    "max_seq_length": "data.max_length",
    "test_file": "data.test",
    "train_file": "data.train",
    "validation_file": "data.dev",
    "output_dir": "results_dir",
    "run_name": "name",
    "data_seed": "search.seeds",
    "seed": "search.seeds",
}
#: Last parts that would be found under one group and mean another thing elsewhere.
_OF_NO_ONE_GROUP = ("name", "path", "source")


def known_key(name: str) -> str | None:
    """The key of the configuration that a script or a tracker's sweep calls `name`, if one is."""
    name = name.removeprefix("trainer.").replace("-", "_")
    name = OLD_TRAINER_NAMES.get(name, name)
    if name in _NAMES_ELSEWHERE:
        return _NAMES_ELSEWHERE[name]
    if name in SEARCHABLE_KEYS:
        return name
    found = [key for key in SEARCHABLE_KEYS if key.rpartition(".")[2] == name]
    return found[0] if len(found) == 1 and name not in _OF_NO_ONE_GROUP else None


def rename_old_keys(content: dict[str, Any]) -> list[str]:
    """Map dropped `TrainingArguments` names in a composed configuration; returns notices."""
    trainer = content.get("trainer", {})
    notices = []
    for old, new in OLD_TRAINER_NAMES.items():
        if old in trainer:
            trainer[new] = trainer.pop(old)
            notices.append(_renamed(old, new))
    for key in trainer:
        refuse_own(key)
    return notices


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint: the nearest valid name, or all of them."""
    names = sorted(valid)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    few = len(names) <= 20
    return f"valid names: {', '.join(names)}" if few else "all keys: `python -m sweep --cfg`"


def refuse_own(name: str) -> None:
    """Refuse a setting of the `Trainer` that this program makes itself.

    Raises:
        ConfigError: says what takes its place.
    """
    if name in OWN_TRAINER_NAMES:
        raise ConfigError(
            f"`trainer.{name}` is not a setting of a sweep.", way_out=OWN_TRAINER_NAMES[name]
        )


def current_name(name: str) -> tuple[str, list[str]]:
    """The key under its name of today, and what is to be said about it."""
    old = name.removeprefix("trainer.")
    if name.startswith("trainer.") and old in OLD_TRAINER_NAMES:
        new = OLD_TRAINER_NAMES[old]
        return f"trainer.{new}", [_renamed(old, new)]
    return name, []


def _renamed(old: str, new: str) -> str:
    return f"`trainer.{old}` is now called `trainer.{new}`; the value was taken over."
