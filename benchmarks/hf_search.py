"""The competitor in `versus_hf.py`: what one writes by hand around the `Trainer`.

`Trainer.hyperparameter_search(backend="optuna")` with a `model_init(trial)` that builds the LoRA
model, over the same space, data, steps and evaluations as the sweep. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any

import numpy as np
import optuna
import psutil
from peft import get_peft_model
from scipy.stats import pearsonr
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)

from sweep.config.compose import Settings, load_settings
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split, tokenized
from sweep.lora.adapting import lora_config
from sweep.lora.model import load_base, load_tokenizer
from sweep.space.space import Choices
from sweep.study.ranking import searched


class Clock(TrainerCallback):
    """Notes each trial's config, its best score, its end in seconds of this process, and steps;
    and when there was a score for the first time."""

    def __init__(self) -> None:
        self.start = psutil.Process().create_time()
        self.ends: list[float] = []
        self.first_score: float | None = None
        self.configs: list[dict[str, Any]] = []
        self.best: list[float] = []
        self.steps = 0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.best.append(-1.0)

    def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
        self.best[-1] = max(self.best[-1], metrics["eval_pearson"])
        if self.first_score is None:
            self.first_score = time.time() - self.start

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any
    ) -> None:
        self.ends.append(time.time() - self.start)
        self.steps += state.global_step


def suggest(trial: optuna.Trial, settings: Settings) -> dict[str, Any]:
    point: dict[str, Any] = {}
    for dimension in settings.space.dimensions:
        if isinstance(dimension, Choices):
            point[dimension.name] = trial.suggest_categorical(
                dimension.name, list(dimension.labels)
            )
        else:
            point[dimension.name] = trial.suggest_float(
                dimension.name, dimension.low, dimension.high, log=dimension.log
            )
    return point


def recipe_of(trial: optuna.Trial | None, settings: Settings) -> Recipe:
    seed = settings.search.seeds[0]
    # The Trainer builds a model before the first trial, only to have one.
    return (
        settings.recipe(seed) if trial is None else settings.expand(suggest(trial, settings), seed)
    )


def pearson(prediction: EvalPrediction) -> dict[str, float]:
    scores = np.asarray(prediction.predictions).reshape(-1)
    return {"pearson": float(pearsonr(scores, np.asarray(prediction.label_ids)).statistic)}


def main(overrides: list[str]) -> None:
    settings, _ = load_settings(overrides)
    tokenizer = load_tokenizer(settings.model)
    train, dev = (
        tokenized(load_split(settings.data, split), tokenizer, settings.data)
        for split in ("train", "dev")
    )
    ours = settings.trainer

    def model_init(trial: optuna.Trial | None = None) -> Any:
        recipe = recipe_of(trial, settings)
        return get_peft_model(load_base(recipe.model, tokenizer)[0], lora_config(recipe))

    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model_init=model_init,
            args=TrainingArguments(
                output_dir=scratch,
                learning_rate=ours.learning_rate,
                warmup_steps=ours.warmup_steps,
                weight_decay=ours.weight_decay,
                max_steps=ours.max_steps,
                num_train_epochs=ours.num_train_epochs,
                per_device_train_batch_size=ours.per_device_train_batch_size,
                per_device_eval_batch_size=ours.per_device_eval_batch_size,
                eval_strategy=ours.eval_strategy,
                eval_steps=ours.eval_steps,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                label_names=["labels"],
                seed=settings.search.seeds[0],
            ),
            train_dataset=train,
            eval_dataset=dev,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=pearson,
            callbacks=[clock],
        )
        grid = {d.name: list(d.labels) for d in settings.space.dimensions if isinstance(d, Choices)}
        is_grid = settings.search.sampler == "grid"
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.GridSampler(grid, seed=settings.search.sampler_seed)
            if is_grid
            else optuna.samplers.TPESampler(seed=settings.search.sampler_seed)
        )

        def hp_space(trial: optuna.Trial) -> dict[str, Any]:
            recipe = recipe_of(trial, settings)
            clock.configs.append(searched(recipe, settings.space.keys))
            return {"learning_rate": recipe.trainer.learning_rate}

        trainer.hyperparameter_search(
            hp_space=hp_space,
            backend="optuna",
            direction="maximize",
            n_trials=len(settings.space.grid()) if is_grid else settings.search.n_trials,
            compute_objective=lambda metrics: metrics["eval_pearson"],
            sampler=sampler,
            # Optuna's default would stop trials half-way, and the sweep would do more work.
            pruner=optuna.pruners.NopPruner(),
        )
    best = max(clock.best)
    print(
        json.dumps(
            {
                "seconds_to_score": clock.first_score,
                "seconds_to_first": clock.ends[0],
                "seconds_to_best": clock.ends[clock.best.index(best)],
                "seconds_to_last": clock.ends[-1],
                "trials": len(clock.ends),
                "steps": clock.steps,
                "best_pearson": best,
                "scores": [
                    {**config, "pearson": score}
                    for config, score in zip(clock.configs, clock.best, strict=True)
                ],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
