"""One run: a recipe trained by the Hugging Face `Trainer`, its best adapter kept."""

from __future__ import annotations

import dataclasses
import functools
import gc
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from peft import PeftModel
from scipy.stats import pearsonr, spearmanr
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers import Trainer as HfTrainer
from transformers.trainer_callback import TrainerControl, TrainerState

from sweep.core.errors import RunFailed
from sweep.core.files import replacing_file, replacing_folder
from sweep.core.ports import Handle
from sweep.core.recipe import Data, Model, Recipe, Trainer
from sweep.core.statistics import Floats
from sweep.core.trial import Evaluated, Evaluation, Outcome, Progress, Run, RunState
from sweep.train.attention import use_keyed_attention
from sweep.train.batches import Collator
from sweep.train.data import in_label_units, load_split, tokenized
from sweep.train.draws import Noise, use_keyed_dropout
from sweep.train.memory import PeakMemory
from sweep.train.model import build, count_lora_params, load_tokenizer, targets_of
from sweep.train.unpadded import Layout, UnpaddedEncoder, unpadded_encoder

#: Steps between looks at the training loss, to stop a run that has diverged.
_LOGGING_STEPS = 10
#: Seconds between two progress events.
_PROGRESS_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What all runs of one model and data set share, loaded once per process."""

    tokenizer: PreTrainedTokenizerBase
    train: datasets.Dataset
    dev: datasets.Dataset


@functools.lru_cache(maxsize=4)
def prepared(model: Model, data: Data) -> Prepared:
    """Tokenizer and tokenised splits."""
    tokenizer = load_tokenizer(model)
    train, dev = (tokenized(load_split(data, split), tokenizer, data) for split in ("train", "dev"))
    return Prepared(tokenizer, train, dev)


def train_run(run: Run, folder: Path, handle: Handle) -> Outcome:
    """Train one recipe and keep the adapter of its best dev evaluation in `folder`.

    Writes `adapter/` and `predictions.npy` (dev predictions at the best step, `[N]`, in the
    units of the labels).

    Raises:
        RunFailed: the loss diverged or the dev correlation is undefined.
    """
    shared = prepared(run.recipe.model, run.recipe.data)
    # Head and adapter are random: everything is seeded before the model is built, so that a
    # result does not depend on what the process has done before.
    set_seed(run.recipe.seed)
    model = build(run.recipe.model, run.recipe.lora, shared.tokenizer)
    watch = _DevWatch(run, folder, handle, model)
    try:
        with tempfile.TemporaryDirectory(prefix="sweep-run-") as scratch, PeakMemory() as memory:
            trainer = _trainer(run.recipe, model, shared, watch, Path(scratch))
            start = time.perf_counter()
            trainer.train()
            if watch.last_step != trainer.state.global_step:
                trainer.evaluate()
            seconds = time.perf_counter() - start
        return _outcome(run, model, watch, trainer.state, seconds, memory.peak_mb)
    finally:
        # The trainer, its optimizer and the callbacks refer to each other in circles.
        gc.collect()


def _trainer(
    recipe: Recipe, model: PeftModel, shared: Prepared, watch: _DevWatch, scratch: Path
) -> HfTrainer:
    noise = Noise(recipe.seed, repeats=recipe.trainer.activation_checkpointing)
    base = model.get_base_model()
    assert isinstance(base, PreTrainedModel)
    use_keyed_dropout(base, noise)
    use_keyed_attention(base, noise)
    # Checkpointing wraps transformers' own encoder, which then does the work.
    checkpointing = recipe.trainer.activation_checkpointing
    trainer = _KeyedTrainer(
        noise,
        None if checkpointing else unpadded_encoder(base, noise, shared.tokenizer),
        model=model,
        args=training_arguments(recipe.trainer, seed=recipe.seed, scratch=scratch),
        train_dataset=shared.train,
        eval_dataset=shared.dev,
        data_collator=Collator(shared.tokenizer),
        compute_metrics=watch.compute_metrics,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


class _KeyedTrainer(HfTrainer):
    """The Trainer, with keyed random draws and, where the model allows it, without padding."""

    def __init__(self, noise: Noise, encoder: UnpaddedEncoder | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._noise = noise
        self._encoder = encoder
        self._batches = 0

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self._noise.at_step(self._batches)
        self._batches += 1
        return super().training_step(*args, **kwargs)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs that the model knows; how they lie goes to the encoder."""
        prepared = dict(super()._prepare_inputs(inputs))
        tokens, first = prepared.pop("tokens"), prepared.pop("first")
        if self._encoder is not None:
            self._encoder.layout = Layout(tokens, first, prepared["attention_mask"])
        return prepared


def training_arguments(trainer: Trainer, *, seed: int, scratch: Path) -> TrainingArguments:
    """The recipe's settings and those that a sweep decides itself."""
    return TrainingArguments(
        **dataclasses.asdict(trainer),
        output_dir=str(scratch),
        seed=seed,
        data_seed=seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=_LOGGING_STEPS,
        # The filter would show a NaN loss as the mean of the finite ones.
        logging_nan_inf_filter=False,
        # A PEFT wrapper hides the signature that the Trainer would look at.
        label_names=["labels"],
        include_num_input_tokens_seen="non_padding",
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def scores(predictions: Floats, labels: Floats) -> tuple[float, float]:
    """Pearson and Spearman; NaN where one side has no variance. Shapes `[N]` and `[N]`."""
    if predictions.shape != labels.shape:
        raise ValueError(f"shapes differ: {predictions.shape} and {labels.shape}")
    if not np.isfinite(predictions).all() or np.ptp(predictions) == 0 or np.ptp(labels) == 0:
        return math.nan, math.nan
    pearson, spearman = pearsonr(predictions, labels), spearmanr(predictions, labels)
    return float(pearson.statistic), float(spearman.statistic)


class _DevWatch(TrainerCallback):
    """Follows one run: reports steps and evaluations, keeps the best adapter, stops divergence."""

    def __init__(self, run: Run, folder: Path, handle: Handle, model: PeftModel) -> None:
        self.evaluations: list[Evaluation] = []
        self._run_id = run.id
        self._data = run.recipe.data
        self._folder = folder
        self._handle = handle
        self._model = model
        self._predictions: Floats = np.empty(0)
        self._next_progress = 0.0

    @property
    def best(self) -> Evaluation:
        """The first evaluation with the highest Pearson: it is the one whose adapter was kept."""
        return max(self.evaluations, key=lambda e: e.pearson)

    @property
    def last_step(self) -> int | None:
        return self.evaluations[-1].step if self.evaluations else None

    def compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        predictions = np.asarray(prediction.predictions, dtype=np.float64).reshape(-1)
        labels = np.asarray(prediction.label_ids, dtype=np.float64).reshape(-1)
        self._predictions = in_label_units(predictions, self._data)
        pearson, spearman = scores(predictions, labels)
        return {"pearson": pearson, "spearman": spearman}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        now = time.monotonic()
        if now >= self._next_progress or state.global_step == state.max_steps:
            self._next_progress = now + _PROGRESS_SECONDS
            self._handle(Progress(self._run_id, state.global_step, state.max_steps))

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        loss = state.log_history[-1].get("loss")
        if loss is not None and not math.isfinite(loss):
            raise RunFailed(f"diverged: the training loss is {loss} at step {state.global_step}")

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        metrics: dict[str, float] = kwargs["metrics"]
        if "eval_pearson" not in metrics:
            raise RunFailed(f"no dev Pearson was measured, only {', '.join(sorted(metrics))}")
        evaluation = Evaluation(
            step=state.global_step,
            epoch=float(state.epoch or 0.0),
            pearson=metrics["eval_pearson"],
            spearman=metrics["eval_spearman"],
            loss=metrics["eval_loss"],
        )
        if not math.isfinite(evaluation.pearson):
            raise RunFailed(
                f"dev Pearson is undefined at step {evaluation.step}: "
                "the predictions are constant or not finite"
            )
        self.evaluations.append(evaluation)
        if self.best is evaluation:
            self._keep()
        self._handle(Evaluated(self._run_id, evaluation))

    def _keep(self) -> None:
        with replacing_folder(self._folder / "adapter") as adapter:
            self._model.save_pretrained(str(adapter), save_embedding_layers=False)
            # PEFT writes a model card that describes nothing; the export writes a real one.
            (adapter / "README.md").unlink(missing_ok=True)
        with replacing_file(self._folder / "predictions.npy") as path:
            np.save(path, self._predictions)


def _outcome(
    run: Run,
    model: PeftModel,
    watch: _DevWatch,
    state: TrainerState,
    seconds: float,
    peak_memory_mb: float | None,
) -> Outcome:
    best = watch.best
    targets = targets_of(run.recipe.model, run.recipe.lora)
    return Outcome(
        state=RunState.COMPLETE,
        pearson=best.pearson,
        pearson_last=watch.evaluations[-1].pearson,
        best_step=best.step,
        spearman=best.spearman,
        evaluations=tuple(watch.evaluations),
        adapted_modules=len(targets.layers),
        lora_params=count_lora_params(model),
        head_params=targets.head_params,
        train_seconds=round(seconds, 2),
        steps=state.global_step,
        tokens_per_second=round(int(state.num_input_tokens_seen) / seconds, 1),
        peak_memory_mb=peak_memory_mb,
        worker=f"pid {os.getpid()}",
    )
