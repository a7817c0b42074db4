"""The recipe: everything that decides one training's result, as frozen values with an identity.

The dataclasses are also the configuration's schema: their fields are the valid keys under `model`,
`data`, `lora`, `trainer` and `task`, their defaults are the program's and stand nowhere else, and
their types and ranges are checked at the door (`sweep.config`). Keys under `lora` are
`peft.LoraConfig`'s own names, keys under `trainer` are `transformers.TrainingArguments`' own names.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

from sweep.core.conditions import Conditions
from sweep.core.fingerprint import fingerprint
from sweep.core.lora import Lora as Lora
from sweep.core.model import Model as Model
from sweep.core.task import Task


@dataclass(frozen=True)
class Data:
    """Sentence pairs with a score.

    `source` says where they come from: `demo` (generated), `hub` (`path` and `name` of a Hub
    data set; `train`, `dev`, `test` are split names) or `files` (`train`, `dev`, `test` are
    paths of CSV, TSV, JSON, JSONL or Parquet files).
    """

    source: Literal["demo", "hub", "files"] = "demo"
    path: str | None = None
    name: str | None = None
    train: str = "train"
    dev: str = "dev"
    test: str | None = None
    #: Column of each part; a dotted path reaches into structs (`labels.label`), a number counts
    #: the columns of a file without header from 0. Of a list, the first that a file has is taken:
    #: for splits that name their columns differently (`[label, labels.label]`).
    text_a: str | int | tuple[str, ...] = "sentence1"
    text_b: str | int | tuple[str, ...] | None = "sentence2"  # null: single sentences
    label: str | int | tuple[str, ...] = "score"
    #: Names of classes in the order of the model's answers; null takes what the train rows hold.
    classes: tuple[str, ...] | None = None
    #: Lowest and highest possible score; a label outside is refused.
    label_range: tuple[float, float] = (0.0, 5.0)
    #: Word pieces a pair, both sentences and special tokens; longer pairs are cut. With
    #: `task.encoder: bi` it counts for each sentence.
    max_length: int = 128
    #: Text around and between the sentences, as `{a}\n{b}`; None leaves it to the tokenizer. For
    #: `task.encoder: cross`.
    template: str | None = None
    #: Rows drawn at random (same rows for every run); None takes all.
    max_train_rows: int | None = None
    max_dev_rows: int | None = None
    #: What to do about train pairs that are in dev or test as well, in either order: say it, take
    #: them out of train, or refuse to train.
    on_leak: Literal["warn", "drop", "error"] = "warn"
    #: What to do about pairs on which a score says nothing: one text twice, a text that is the
    #: label, dev pairs that are those of train.
    on_alike: Literal["error", "warn"] = "error"
    #: What to do where the model's tokenizer knows less than half of the words.
    on_unknown: Literal["error", "warn"] = "error"
    #: Train rows that are set aside and scored once, after the search: a share below 1, or a
    #: number; their seed is their own. They are taken before `max_train_rows` are drawn.
    holdout: float | None = None
    holdout_seed: int = 0
    #: How to read text files; None finds out by looking at the file.
    separator: str | None = None
    header: bool | None = None
    quoting: bool | None = None
    encoding: str = "utf-8-sig"
    #: Lines above the header, or above the first row; None skips those above the header that holds
    #: the columns' names.
    skip_lines: int | None = None
    #: Sign before the decimals of a score in text, `.` or `,`; None finds out.
    decimal: Literal[".", ","] | None = None
    #: What stands between two texts in one cell, as `"\n"`; the cell is that of `text_a` then, and
    #: `text_b` is not read.
    split_text: str | None = None
    #: Which rows count, by what a column holds: `{lang: ko}`, `{genre: [news, forum]}`. The value
    #: `train` stands for the name of each split (`{split: train}`: one file serves as all of
    #: them); `{train: {fold: 1}, dev: {fold: 2}}` says it split by split.
    where: dict[str | int, Any] | None = field(default_factory=Conditions)
    #: What to do about rows without a score: refuse them, or leave them out.
    unscored: Literal["error", "drop"] = "error"
    #: Seed of the generator (`source: demo`) and of the rows drawn; not the run's seed.
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", Conditions.of(self.where or {}))


#: Keys under `data` that came after the first studies: at their default, they leave a config the
#: id that it had before.
_LATER = ("template", "skip_lines", "decimal", "split_text", "where", "unscored", "classes")
_DEFAULT_DATA = Data()


@dataclass(frozen=True)
class Trainer:
    """Training settings, named as in `transformers.TrainingArguments`; `precision` is our own."""

    learning_rate: float = 1e-3
    num_train_epochs: float = 3
    #: Optimizer steps; -1 trains `num_train_epochs`.
    max_steps: int = -1
    per_device_train_batch_size: int = 16
    per_device_eval_batch_size: int = 64
    gradient_accumulation_steps: int = 1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    lr_scheduler_type: str = "linear"
    #: Steps, or a share of all steps when below 1.
    warmup_steps: float = 0.06
    optim: str = "adamw_torch"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    eval_strategy: Literal["epoch", "steps"] = "epoch"
    #: Steps between evaluations, or a share of all steps when below 1; for `eval_strategy: steps`.
    eval_steps: float | None = None
    #: `group_by_length` draws batches of like lengths: less padding, another order.
    train_sampling_strategy: Literal["random", "sequential", "group_by_length"] = "random"
    #: What the frozen base is kept and computed in; adapters and head are always float32.
    #: `auto`: bf16 where the device multiplies it in silicon, fp16 on other GPUs, decided once for
    #: the whole sweep.
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    activation_checkpointing: bool = False
    dataloader_num_workers: int = 0
    use_cpu: bool = False


@dataclass(frozen=True)
class Recipe:
    """One training, decided in full: config and seed."""

    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    lora: Lora = field(default_factory=Lora)
    trainer: Trainer = field(default_factory=Trainer)
    seed: int = 0
    task: Task = field(default_factory=Task)
    #: What is trained: adapters and head, or everything there is. No key of a search: what a study
    #: compares are LoRA's settings, and full fine-tuning stands beside them.
    tuning: Literal["lora", "full"] = "lora"

    @cached_property
    def config_id(self) -> str:
        """Hash of the recipe without its seed: equal for the runs of one config.

        Equal as well where only the spelling differs.
        """
        content = dataclasses.asdict(self)
        del content["seed"], content["tuning"]
        # What leaves the training as it is does not make another config.
        if self.data.on_leak != "drop":
            del content["data"]["on_leak"]
        del content["data"]["on_alike"], content["data"]["on_unknown"]
        if self.data.holdout is None:
            del content["data"]["holdout"], content["data"]["holdout_seed"]
        del content["task"]
        if self.task.identity:
            content["task"] = self.task.identity
        content["model"] = self.model.identity
        for name in _LATER:
            if getattr(self.data, name) == getattr(_DEFAULT_DATA, name):
                del content["data"][name]
        if self.tuning == "full":
            del content["lora"]
            return f"full-{fingerprint(content)}"
        content["lora"] = self.lora.identity
        return fingerprint(content)

    @cached_property
    def run_id(self) -> str:
        """`<config_id>-s<seed>`: the name of the run's folder."""
        return f"{self.config_id}-s{self.seed}"

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Recipe:
        """The inverse of `dataclasses.asdict`, also after a way through JSON."""
        # Recipes were written before there were tasks.
        content = {"task": {}, **content}
        built = {part: kind(**_tuples(content[part])) for part, kind in _PARTS.items()}
        tuning = content.get("tuning", "lora")
        return cls(seed=content["seed"], tuning=tuning, **cast(Any, built))

    def in_full(self, learning_rate: float) -> Recipe:
        """Full fine-tuning with the same model, pairs, steps and seed, at a rate of its own.

        In float32: weights that are trained are too coarse in 16 bits, or fewer, to be moved by
        small steps.
        """
        trainer = dataclasses.replace(self.trainer, learning_rate=learning_rate, precision="fp32")
        # Targets that every model has: nobody reads them, but all that is asked for finds some.
        lora = Lora(target_modules="all-linear")
        return dataclasses.replace(
            self, model=self.model.in_float, lora=lora, trainer=trainer, tuning="full"
        )

    @property
    def in_float(self) -> Recipe:
        """The same on a base that is not quantized."""
        return dataclasses.replace(self, model=self.model.in_float)

    def value_of(self, key: str) -> Any:
        """The value under a dotted key, e.g. `lora.r`."""
        part, _, name = key.partition(".")
        return getattr(getattr(self, part), name)

    def with_values(self, values: dict[str, Any]) -> Recipe:
        """A copy with dotted keys (`lora.r`) set; another `model.path` has weights of its own.

        Raises:
            KeyError: a key that is not `part.field` of this recipe.
        """
        parts: dict[str, dict[str, Any]] = {}
        if values.get("model.path", self.model.path) != self.model.path:
            values = {**dict.fromkeys(OF_THE_WEIGHTS), **values}
        for key, value in values.items():
            part, _, name = key.partition(".")
            if key not in SEARCHABLE_KEYS:
                raise KeyError(key)
            parts.setdefault(part, {})[name] = value
        changed = {
            part: dataclasses.replace(getattr(self, part), **fields)
            for part, fields in parts.items()
        }
        return dataclasses.replace(self, **cast(Any, changed))


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}


_PARTS: dict[str, type] = {
    "model": Model,
    "data": Data,
    "lora": Lora,
    "trainer": Trainer,
    "task": Task,
}


def _dotted_keys() -> tuple[str, ...]:
    return tuple(
        f"{part}.{f.name}" for part, kind in _PARTS.items() for f in dataclasses.fields(kind)
    )


#: Keys that hold for the weights under `model.path` and for no others.
OF_THE_WEIGHTS = ("model.sha256", "model.hub_name")
#: Every key that a search space may set.
SEARCHABLE_KEYS = _dotted_keys()
