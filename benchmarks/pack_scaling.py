"""Time of one run's step in packs of 1, 2, 4, ... runs, beside plain PEFT + `Trainer`.

    python benchmarks/pack_scaling.py [--packs 1 2 4 8 16 32] [--threads 1]

Shapes: all-MiniLM-L6-v2, and a random model of klue/roberta-small's shape (6 layers x 768). Runs
differ in learning rate. Times are medians of whole training steps (loader, forward, backward,
clipping, optimizer) and exclude the first steps; the plain trainer takes turns with the packs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import summary, write
from peft import get_peft_model
from rich.progress import track
from transformers import (
    DataCollatorWithPadding,
    RobertaConfig,
    RobertaModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from sweep.config.compose import load_settings
from sweep.core.recipe import Lora, Model, Recipe
from sweep.data.pairs import load_split, tokenized
from sweep.loop.trial import Run
from sweep.lora.adapting import lora_config
from sweep.lora.model import load_base, load_tokenizer
from sweep.lora.pack import Base, PackedModel
from sweep.train.keeper import Keeper
from sweep.train.precision import dtype_of, resolve_precision
from sweep.train.splits import splits
from sweep.train.trainer import PackTrainer

#: Steps before the clock counts: matrix libraries prepare themselves for each shape.
_WARM_UP = 4


class StepClock(TrainerCallback):
    """Seconds of each training step, from the end of the one before."""

    def __init__(self) -> None:
        self._last = 0.0
        self.seconds: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._last = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now

    @property
    def median(self) -> float:
        return statistics.median(self.seconds[_WARM_UP:])


def recipe_of(model: Model, targets: str, steps: int) -> Recipe:
    """`lora_grid`'s training without evaluations."""
    settings, _ = load_settings(["+experiment=lora_grid"])
    trainer = replace(settings.trainer, max_steps=steps, eval_strategy="steps", eval_steps=steps)
    lora = Lora(r=8, lora_alpha=16, lora_dropout=0.1, target_modules=targets)
    return replace(settings.recipe(seed=0), model=model, lora=lora, trainer=trainer)


def runs_of(recipe: Recipe, count: int) -> list[Run]:
    """Runs that differ in learning rate."""
    return [
        Run(i, {}, replace(recipe, trainer=replace(recipe.trainer, learning_rate=1e-4 * (i + 1))))
        for i in range(count)
    ]


def packed(recipe: Recipe, base: Base, runs: int, scratch: Path) -> float:
    """Seconds of a step of the whole pack."""
    pack_runs = runs_of(recipe, runs)
    clock = StepClock()
    with PackedModel(base, pack_runs) as pack:
        keepers = {run.id: Keeper(run, scratch / run.id) for run in pack_runs}
        shared = splits(recipe.model, recipe.data)
        trainer = PackTrainer(pack, keepers, shared, lambda event: None, scratch=str(scratch))
        trainer.add_callback(clock)
        trainer.train()
    return clock.median


def plain(recipe: Recipe, scratch: Path, *, autocast: bool) -> float:
    """Seconds of a step of PEFT + `Trainer`, as one would write it."""
    tokenizer = load_tokenizer(recipe.model)
    model = get_peft_model(load_base(recipe.model, tokenizer)[0], lora_config(recipe))
    clock = StepClock()
    Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(scratch),
            max_steps=recipe.trainer.max_steps,
            per_device_train_batch_size=recipe.trainer.per_device_train_batch_size,
            learning_rate=recipe.trainer.learning_rate,
            bf16=autocast,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            label_names=["labels"],
        ),
        train_dataset=tokenized(load_split(recipe.data, "train"), tokenizer, recipe.data),
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[clock],
    ).train()
    return clock.median


@contextmanager
def models() -> Iterator[dict[str, Model]]:
    """By name; the random one lies in a temporary folder."""
    minilm = load_settings([])[0].model
    with tempfile.TemporaryDirectory() as folder:
        config = RobertaConfig(
            vocab_size=32_000,
            hidden_size=768,
            num_hidden_layers=6,
            num_attention_heads=12,
            intermediate_size=3072,
            max_position_embeddings=514,
            pad_token_id=0,
        )
        RobertaModel(config).save_pretrained(folder)
        load_tokenizer(minilm).save_pretrained(folder)
        yield {"minilm": minilm, "roberta_small_shape": Model(path=folder)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packs", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--models", nargs="+", default=["minilm", "roberta_small_shape"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = resolve_precision("auto")
    raw: dict[str, dict[str, list[float]]] = {}
    with models() as known, tempfile.TemporaryDirectory() as folder:
        cases = [(name, targets) for name in asked.models for targets in ("qv", "all-linear")]
        for name, targets in cases:
            recipe = recipe_of(known[name], targets, asked.steps)
            tokenizer = load_tokenizer(recipe.model)
            base = Base(recipe.model, tokenizer, device=device, dtype=dtype_of(precision))
            times: dict[str, list[float]] = {}
            for _ in track(range(asked.repeats), description=f"{name} {targets}"):
                for autocast in (False, True):
                    key = f"plain_{'bf16_autocast' if autocast else 'fp32'}"
                    seconds = plain(recipe, Path(folder), autocast=autocast)
                    times.setdefault(key, []).append(seconds)
                for runs in asked.packs:
                    seconds = packed(recipe, base, runs, Path(folder)) / runs
                    times.setdefault(f"pack_{runs}", []).append(seconds)
            raw[f"{name} {targets}"] = times
    found = {case: {k: summary(v) for k, v in times.items()} for case, times in raw.items()}
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    content = {
        "unit": "seconds of one step of one run, batch 16 of the generated pairs",
        "precision": precision,
        "threads": asked.threads,
        "raw": raw,
        "summary": found,
    }
    print(write(f"pack_scaling_{kind}", content))
    for case, times in found.items():
        print(case, {key: round(value["median"], 4) for key, value in times.items()})


if __name__ == "__main__":
    main()
